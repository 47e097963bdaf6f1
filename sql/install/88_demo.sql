-- Demonstration data.

CREATE FUNCTION demo_load(scale integer DEFAULT 1, OUT what text, OUT made bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION demo_load(integer) IS
	'Loads demonstration data: for each step of the scale 2 vendors, 40 products with stock, and 60 days of orders in every state, made by the functions that any caller uses. Seeded, so that runs are equal but for identifiers and times. For administrators.';

CREATE FUNCTION demo_accounts() RETURNS SETOF new_account
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION demo_accounts() IS
	'Makes an administrator, the owner of the first vendor, and a customer, each with a random password that is shown only here. For administrators.';
