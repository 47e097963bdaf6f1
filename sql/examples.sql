-- The smallest module: its functions and every error.
SET search_path = rental, public;
SET rental.clock = '2026-06-01 09:00Z';
\set VERBOSITY terse
INSERT INTO users (id, email, password_hash, name, role) VALUES
	('00000000-0000-7000-8000-0000000000e1', 'ann@examples.example', '!', 'Ann', 'customer'),
	('00000000-0000-7000-8000-0000000000e2', 'bob@examples.example', '!', 'Bob', 'customer');
\set ann '''00000000-0000-7000-8000-0000000000e1'''
\set bob '''00000000-0000-7000-8000-0000000000e2'''
SELECT example_create('nobody''s');
BEGIN; SELECT act_as(:ann, 'customer');
SELECT id AS e, name, note FROM example_create(' First ', 'of many') \gset
\echo :name :note
SELECT example_create('');
ROLLBACK;
BEGIN; SELECT act_as(:ann, 'customer'); SELECT id AS e FROM example_create('First') \gset
COMMIT;
SELECT name, note, owner_id = :ann AS hers, created_at = rental.now() AS now FROM example_get(:'e');
SET rental.clock = '2026-06-02 09:00Z';
BEGIN; SELECT act_as(:ann, 'customer'); SELECT name, note, updated_at > created_at AS later FROM example_update(:'e', 'Second', 'changed'); COMMIT;
BEGIN; SELECT act_as(:bob, 'customer'); SELECT example_update(:'e', 'Third'); ROLLBACK;
BEGIN; SELECT act_as(:bob, 'customer'); SELECT example_delete(:'e'); ROLLBACK;
BEGIN; SELECT act_as(:ann, 'customer'); SELECT example_update(:'e', NULL); ROLLBACK;
BEGIN; SELECT act_as(:ann, 'customer'); SELECT example_update(:ann, 'No such'); ROLLBACK;
BEGIN; SELECT act_as(:ann, 'customer'); SELECT example_update(NULL, 'Which?'); ROLLBACK;
SELECT count, (SELECT array_agg(r.name) FROM unnest(results) r) FROM example_list(count => 'exact');
BEGIN; SELECT act_as(:ann, 'customer'); SELECT example_delete(:'e'); COMMIT;
SELECT example_get(:'e');
SELECT count, results FROM example_list(count => 'exact');
