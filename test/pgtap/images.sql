-- Images of products in SQL: who may add and take away, what a row may hold, who sees the file.
BEGIN;
SELECT plan(17);

INSERT INTO rental.vendors (id, name, slug) VALUES
	('00000000-0000-7000-9000-0000000000a1', 'A', 'images-a'), ('00000000-0000-7000-9000-0000000000b1', 'B', 'images-b');
INSERT INTO rental.products (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-9000-0000000000a1', 'Lens');

CREATE FUNCTION pg_temp.add(file text DEFAULT repeat('ab', 32), size bigint DEFAULT 10, type text DEFAULT 'image/png', name text DEFAULT 'a.png',
	product uuid DEFAULT '00000000-0000-7000-8000-0000000000a1') RETURNS uuid
	LANGUAGE sql AS $$ SELECT (rental.image_create($5, $1, $2, $3, $4)).id $$;
CREATE FUNCTION pg_temp.vendor(letter text) RETURNS void
	LANGUAGE sql AS $$ SELECT rental.act_as('00000000-0000-7000-7000-0000000000a1', 'vendor', ('00000000-0000-7000-9000-0000000000' || $1 || '1')::uuid) $$;

SELECT pg_temp.vendor('a');
CREATE TEMP TABLE made AS SELECT pg_temp.add() AS id;
SELECT is((SELECT count(*)::integer FROM rental.product_images i JOIN made USING (id) WHERE i.vendor_id = '00000000-0000-7000-9000-0000000000a1'),
	1, 'an image belongs to its product''s vendor');
SELECT isnt(pg_temp.add(), (SELECT id FROM made), 'the same file may be there twice');
SELECT is((SELECT (rental.image_file(id, 'original')).file FROM made), repeat('ab', 32), 'its file is told');
SELECT throws_ok($$ SELECT rental.image_file(id, 'large') FROM made $$, 'RT404', NULL, 'there is no other size');
SELECT throws_ok($$ SELECT pg_temp.add(file => 'ab') $$, 'RT422', NULL, 'a hash has its length');
SELECT throws_ok($$ SELECT pg_temp.add(file => repeat('AB', 32)) $$, 'RT422', NULL, 'and its alphabet');
SELECT throws_ok($$ SELECT pg_temp.add(file => NULL) $$, 'RT400', NULL, 'and is there');
SELECT throws_ok($$ SELECT pg_temp.add(size => 0) $$, 'RT422', NULL, 'no file is empty');
SELECT throws_ok($$ SELECT pg_temp.add(type => 'image/svg+xml') $$, 'RT415', NULL, 'only three kinds are images here');
SELECT throws_ok($$ SELECT pg_temp.add(name => repeat('x', 201)) $$, 'RT422', NULL, 'a name has its limit');
SELECT throws_ok($$ SELECT pg_temp.add(product => '00000000-0000-7000-8000-0000000000ff') $$, 'RT404', NULL, 'there must be a product');
SELECT pg_temp.vendor('b');
SELECT throws_ok($$ SELECT pg_temp.add() $$, 'RT403', NULL, 'another vendor adds nothing');
SELECT throws_ok($$ SELECT rental.image_delete(id) FROM made $$, 'RT403', NULL, 'and takes nothing away');
UPDATE rental.products SET is_active = false WHERE id = '00000000-0000-7000-8000-0000000000a1';
SELECT throws_ok($$ SELECT rental.image_file(id, 'original') FROM made $$, 'RT404', NULL, 'images of an archived product are not for others');
SELECT pg_temp.vendor('a');
SELECT lives_ok($$ SELECT rental.image_file(id, 'original') FROM made $$, 'but for its vendor');
SELECT lives_ok($$ SELECT rental.image_delete(id) FROM made $$, 'who can take them away');
SELECT throws_ok($$ SELECT rental.image_delete(id) FROM made $$, 'RT404', NULL, 'once');
SELECT * FROM finish();
ROLLBACK;
