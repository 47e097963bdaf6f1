-- The audit trail: who did what to which row, when, from which request.

CREATE TABLE audit (
	id uuid PRIMARY KEY,
	at timestamptz NOT NULL,
	actor_id uuid,
	actor_role text NOT NULL,
	vendor_id uuid,
	session_id uuid,
	request_id text,
	client_address text,
	sql_user text,
	table_name text NOT NULL,
	action text NOT NULL,
	row_id uuid,
	key jsonb,
	old jsonb,
	new jsonb
);
CREATE INDEX ON audit (row_id, id);
CREATE INDEX ON audit (actor_id, id);
CREATE INDEX ON audit (request_id);
COMMENT ON TABLE audit IS
	'The audit trail, written by the trigger audit_record. Append-only for everybody. No foreign keys: it outlives what it speaks of.';
COMMENT ON COLUMN audit.at IS 'the clock''s time, not rental.now(): when it was really done';
COMMENT ON COLUMN audit.actor_id IS 'the user who did it; null for anonymous callers and the system';
COMMENT ON COLUMN audit.actor_role IS 'anonymous, customer, vendor or admin; system: a superuser or rental_admin in SQL';
COMMENT ON COLUMN audit.vendor_id IS 'the vendor whose row it is, where it has one';
COMMENT ON COLUMN audit.session_id IS 'the log-in that the request came by; null for API keys';
COMMENT ON COLUMN audit.request_id IS 'X-Request-Id of the request; null in plain SQL';
COMMENT ON COLUMN audit.client_address IS 'the client of the request; erased with its account';
COMMENT ON COLUMN audit.sql_user IS 'the database''s user, where it was no request';
COMMENT ON COLUMN audit.action IS 'insert, update or delete; erase for an account that was made anonymous; purge of the trail itself';
COMMENT ON COLUMN audit.row_id IS 'id of the row, or in a table without one the first id of its key that is not the vendor';
COMMENT ON COLUMN audit.key IS 'the whole primary key, where row_id and vendor_id are not all of it';
COMMENT ON COLUMN audit.old IS 'what an update or delete overwrote, by column: of an update only what changed. Secrets are "hidden", the values of an erased person "erased"';
COMMENT ON COLUMN audit.new IS 'what an insert or update wrote, likewise';

CREATE FUNCTION audit_record() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION audit_record() IS
	'Records a row''s change in the audit trail; its arguments are columns to leave out. Inserts are not recorded while a superuser''s session restores a dump.';
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION audit_guard() IS 'Keeps the audit trail append-only.';
CREATE TRIGGER audit_insert BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_kept;
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_whole;

-- Which tables: what people decide. Not what follows from it by rule (reservations, timelines, events), nor what only
-- carries a request (idempotency keys, streams, log-ins). A line of an order or invoice comes with it, so only its
-- changes are of interest. test/pgtap/audit.sql wants every table to be here or in its list of those that are not.
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM (VALUES
		('users', 'INSERT OR UPDATE OR DELETE', '{}'::text[]),
		('profiles', 'INSERT OR UPDATE OR DELETE', '{}'),
		('vendors', 'INSERT OR UPDATE OR DELETE', '{}'),
		('vendor_members', 'INSERT OR UPDATE OR DELETE', '{}'),
		('api_keys', 'INSERT OR UPDATE OR DELETE', '{}'),
		('categories', 'INSERT OR UPDATE OR DELETE', '{}'),
		('locations', 'INSERT OR UPDATE OR DELETE', '{}'),
		('products', 'INSERT OR UPDATE OR DELETE', '{is_stocked}'),
		('product_rates', 'INSERT OR UPDATE OR DELETE', '{}'),
		('price_rules', 'INSERT OR UPDATE OR DELETE', '{}'),
		('customer_groups', 'INSERT OR UPDATE OR DELETE', '{}'),
		('customer_group_members', 'INSERT OR UPDATE OR DELETE', '{}'),
		('tax_rates', 'INSERT OR UPDATE OR DELETE', '{}'),
		('product_taxes', 'INSERT OR UPDATE OR DELETE', '{}'),
		('coupons', 'INSERT OR UPDATE OR DELETE', '{uses}'),
		('price_settings', 'INSERT OR UPDATE OR DELETE', '{}'),
		('product_images', 'INSERT OR UPDATE OR DELETE', '{}'),
		('product_components', 'INSERT OR UPDATE OR DELETE', '{}'),
		('stock', 'INSERT OR UPDATE OR DELETE', '{accepted}'),
		('units', 'INSERT OR UPDATE OR DELETE', '{}'),
		('blackouts', 'INSERT OR UPDATE OR DELETE', '{}'),
		('orders', 'INSERT OR UPDATE OR DELETE', '{}'),
		('order_items', 'UPDATE OR DELETE', '{}'),
		('order_charges', 'INSERT OR UPDATE OR DELETE', '{}'),
		('order_policies', 'INSERT OR UPDATE OR DELETE', '{}'),
		('invoices', 'INSERT OR UPDATE OR DELETE', '{}'),
		('invoice_lines', 'UPDATE OR DELETE', '{}'),
		('payments', 'INSERT OR UPDATE OR DELETE', '{}'),
		('billing_settings', 'INSERT OR UPDATE OR DELETE', '{}'),
		('billing_plans', 'INSERT OR UPDATE OR DELETE', '{}'),
		('customer_taxes', 'INSERT OR UPDATE OR DELETE', '{}'),
		('product_tax_classes', 'INSERT OR UPDATE OR DELETE', '{}'),
		('gateways', 'INSERT OR UPDATE OR DELETE', '{}'),
		('gateway_settings', 'INSERT OR UPDATE OR DELETE', '{}'),
		('payouts', 'INSERT OR UPDATE OR DELETE', '{}'),
		('examples', 'INSERT OR UPDATE OR DELETE', '{}'),
		('endpoint', 'INSERT OR UPDATE OR DELETE', '{}')) AS list(name, events, left_out)
	LOOP
		EXECUTE format('CREATE TRIGGER audit_record AFTER %s ON rental.%I FOR EACH ROW EXECUTE FUNCTION rental.audit_record(%s)', t.events, t.name,
			(SELECT string_agg(quote_literal(c), ', ') FROM unnest(t.left_out) c));
	END LOOP;
END $$;
CREATE TRIGGER audit_record AFTER UPDATE OF revoked_at ON sessions FOR EACH ROW
	WHEN (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at) EXECUTE FUNCTION audit_record();

CREATE VIEW audit_view AS
SELECT id, at, actor_id, actor_role, vendor_id, session_id, request_id, client_address, sql_user, table_name, action, row_id, key, old, new
FROM audit;
COMMENT ON VIEW audit_view IS 'A change of a row, and who made it.';
CREATE TYPE audit_page AS (count bigint, next text, previous text, results audit_view[]);

CREATE FUNCTION audit_list(table_name text DEFAULT NULL, row_id uuid DEFAULT NULL, actor_id uuid DEFAULT NULL, vendor uuid DEFAULT NULL,
	request_id text DEFAULT NULL, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL,
	page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS audit_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION audit_list(text, uuid, uuid, uuid, text, timestamptz, timestamptz, integer, text, text) IS
	'The audit trail in [from, to), newest first, for administrators. Error: forbidden.';

CREATE FUNCTION audit_export("from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity') RETURNS SETOF audit_view
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT v FROM audit_view v WHERE v.at >= "from" AND v.at < "to" ORDER BY v.id
$$;
COMMENT ON FUNCTION audit_export(timestamptz, timestamptz) IS
	'The audit trail in [from, to), oldest first, for superusers and rental_admin: COPY (SELECT * FROM rental.audit_export()) TO STDOUT (FORMAT csv, HEADER).';

CREATE FUNCTION audit_purge(before timestamptz) RETURNS bigint
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION audit_purge(timestamptz) IS
	'Removes what the audit trail has from before a time, and records that; returns the rows removed. For superusers only.';

CREATE FUNCTION audit_erase(user_id uuid) RETURNS bigint
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION audit_erase(uuid) IS
	'Blanks what the audit trail knows of a person: all of their account but ids, role and times, and the addresses they came from; records that, and returns the rows blanked. Deleting an account does it, too. For superusers only.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/audit/', 'rental.audit_list', '{admin}', 200, 'read', 'api', 'Audit trail', true);
