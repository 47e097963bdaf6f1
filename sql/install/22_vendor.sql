-- Vendors: what everybody sees of them, their settings, their teams.

CREATE DOMAIN opening_hours AS jsonb;
COMMENT ON DOMAIN opening_hours IS
	'When a vendor is open, on its own clock: stretches within a day, which do not overlap. What goes past midnight is two of them.';
CREATE TYPE opening_hours_item AS (weekday text, open text, close text);
COMMENT ON TYPE opening_hours_item IS 'A stretch of a day. Nothing in it is null.';
COMMENT ON COLUMN opening_hours_item.weekday IS 'monday to sunday';
COMMENT ON COLUMN opening_hours_item.open IS 'HH:MM, 00:00 to 23:59';
COMMENT ON COLUMN opening_hours_item.close IS 'HH:MM after open, up to 24:00';

CREATE FUNCTION opening_hours_check(hours jsonb) RETURNS boolean
	LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION opening_hours_check(jsonb) IS
	'True for opening hours that make sense. Errors: invalid_field, unknown_field, missing_field, invalid_value, each with the field.';
ALTER TABLE vendors ADD opening_hours opening_hours CHECK (opening_hours_check(opening_hours));
COMMENT ON COLUMN vendors.opening_hours IS 'when customers are served; null: not stated';

CREATE FUNCTION vendor_guard() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION vendor_guard() IS 'Counts the versions of a vendor''s terms.';
CREATE TRIGGER vendor_guard BEFORE UPDATE OF terms, terms_version ON vendors FOR EACH ROW EXECUTE FUNCTION vendor_guard();

CREATE FUNCTION member_guard() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION member_guard() IS
	'At the end of a transaction that took owners from a team, refuses to leave members without one.';
CREATE CONSTRAINT TRIGGER member_guard AFTER UPDATE OR DELETE ON vendor_members DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION member_guard();
COMMENT ON COLUMN vendor_members.role IS
	'owner: everything, the team and the payouts included; manager: settings, API keys and staff; staff: daily work, that is orders, stock and catalogue';

-- What everybody sees

CREATE VIEW vendor_view AS
SELECT id, name, slug, currency, time_zone, opening_hours, minimum_notice, terms, terms_version, is_active, created_at FROM vendors;
COMMENT ON VIEW vendor_view IS 'A vendor as everybody sees it.';
CREATE TYPE vendor_page AS (count bigint, next text, previous text, results vendor_view[]);

CREATE FUNCTION vendor_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS vendor_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION vendor_list(integer, text, text) IS 'The directory of active vendors, oldest first.';

CREATE FUNCTION vendor_get(vendor_id uuid) RETURNS vendor_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION vendor_get(uuid) IS 'One vendor; one that is not active is shown to its team and to administrators only. Error: not_found.';

-- What its team sees and changes

CREATE VIEW vendor_settings_view AS
SELECT id, name, slug, currency, time_zone, tax_number, default_tax, commission, opening_hours, minimum_notice, hold_time,
	buffer_before, buffer_after, terms, terms_version, payout_details, is_active, created_at
FROM vendors;
COMMENT ON VIEW vendor_settings_view IS 'A vendor as its team sees it.';

CREATE FUNCTION vendor_settings(vendor_id uuid) RETURNS vendor_settings_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION vendor_settings(uuid) IS 'A vendor''s settings, for its team. Errors: not_found, forbidden.';

CREATE FUNCTION vendor_update(vendor_id uuid, name text DEFAULT NULL, slug text DEFAULT NULL, currency text DEFAULT NULL,
	time_zone text DEFAULT NULL, tax_number text DEFAULT NULL, default_tax numeric DEFAULT NULL, commission numeric DEFAULT NULL,
	opening_hours opening_hours DEFAULT NULL, minimum_notice interval DEFAULT NULL, hold_time interval DEFAULT NULL,
	buffer_before interval DEFAULT NULL, buffer_after interval DEFAULT NULL, terms text DEFAULT NULL, payout_details text DEFAULT NULL,
	is_active boolean DEFAULT NULL, given text[] DEFAULT NULL) RETURNS vendor_settings_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION vendor_update(uuid, text, text, text, text, text, numeric, numeric, opening_hours, interval, interval, interval, interval, text, text, boolean, text[]) IS
	'Changes the settings that are given, for owners and managers; payout_details is for owners, commission and is_active for administrators. Null clears tax_number, opening_hours and payout_details. In SQL, without the list given, whatever is not null is given. The currency stays once there are orders. Errors: not_found, forbidden, invalid_value, invalid_field, already_exists (slug), conflict (currency).';

-- Its team

CREATE VIEW member_view AS
SELECT m.vendor_id, m.user_id, u.name, u.email, m.role, m.created_at
FROM vendor_members m JOIN users u ON u.id = m.user_id;
COMMENT ON VIEW member_view IS 'A member of a vendor''s team.';
CREATE TYPE member_page AS (count bigint, next text, previous text, results member_view[]);

CREATE FUNCTION member_list(vendor_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS member_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION member_list(uuid, integer, text, text) IS 'A vendor''s team, for its members, in the order of their accounts. Errors: not_found, forbidden.';

CREATE FUNCTION member_add(vendor_id uuid, role text, email text DEFAULT NULL, user_id uuid DEFAULT NULL) RETURNS member_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION member_add(uuid, text, text, uuid) IS
	'Takes an account, named by its address or its id, into a vendor''s team. Its role becomes vendor, so it has to log in again. Owners take in anybody, managers staff. Errors: not_found, forbidden, invalid_value, already_exists if the account belongs to a team, conflict if it is an administrator''s.';

CREATE FUNCTION member_update(vendor_id uuid, user_id uuid, role text) RETURNS member_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION member_update(uuid, uuid, text) IS
	'Gives a member another role, at once; for owners. The last owner stays one. Errors: not_found, forbidden, invalid_value, conflict.';

CREATE FUNCTION member_remove(vendor_id uuid, user_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION member_remove(uuid, uuid) IS
	'Takes a member out of the team: owners anybody, managers staff, everybody themselves, but not the last owner. The account becomes a customer''s, and its API keys end. Errors: not_found, forbidden, conflict.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/users/vendors/', 'rental.vendor_list', '{public}', 200, 'read', 'users', 'Directory of vendors', true),
	('GET', '/api/users/vendors/{vendor_id}/', 'rental.vendor_get', '{public}', 200, 'read', 'users', 'One vendor', true),
	('PATCH', '/api/users/vendors/{vendor_id}/', 'rental.vendor_update', '{vendor,admin}', 200, 'write', 'users', 'Change a vendor', true),
	('GET', '/api/users/vendors/{vendor_id}/settings/', 'rental.vendor_settings', '{vendor,admin}', 200, 'read', 'users', 'A vendor''s settings', true),
	('PATCH', '/api/users/vendors/{vendor_id}/settings/', 'rental.vendor_update', '{vendor,admin}', 200, 'write', 'users', 'Change a vendor''s settings', true),
	('GET', '/api/users/vendors/{vendor_id}/members/', 'rental.member_list', '{vendor,admin}', 200, 'read', 'users', 'A vendor''s team', true),
	('POST', '/api/users/vendors/{vendor_id}/members/', 'rental.member_add', '{vendor,admin}', 201, 'write', 'users', 'Add to the team', true),
	('PATCH', '/api/users/vendors/{vendor_id}/members/{user_id}/', 'rental.member_update', '{vendor,admin}', 200, 'write', 'users', 'Change a member''s role', true),
	('DELETE', '/api/users/vendors/{vendor_id}/members/{user_id}/', 'rental.member_remove', '{vendor,admin}', 204, 'write', 'users', 'Take out of the team', true);
