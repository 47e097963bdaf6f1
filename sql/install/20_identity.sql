-- Identity: users, vendors and their teams, sessions.

CREATE TABLE users (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	email text NOT NULL UNIQUE CHECK (email = lower(email) AND email ~ '^[^@\s]+@[^@\s]+$' AND length(email) <= 254),
	password_hash text NOT NULL,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	phone text CHECK (length(phone) <= 40),
	role text NOT NULL CHECK (role IN ('customer', 'vendor', 'admin')),
	is_active boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT rental.now()
);
COMMENT ON TABLE users IS 'Everybody who can log in.';
COMMENT ON COLUMN users.email IS 'in lower case, since addresses are compared without regard to case';
COMMENT ON COLUMN users.password_hash IS 'Argon2id in its PHC string format; "!" for an account without a password';

CREATE TABLE vendors (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
	currency text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
	time_zone text NOT NULL DEFAULT 'UTC',
	tax_number text CHECK (tax_number <> '' AND length(tax_number) <= 40),
	default_tax numeric NOT NULL DEFAULT 0 CHECK (default_tax BETWEEN 0 AND 100),
	commission numeric NOT NULL DEFAULT 0 CHECK (commission BETWEEN 0 AND 100),
	minimum_notice interval NOT NULL DEFAULT '0' CHECK (minimum_notice >= '0'),
	hold_time interval NOT NULL DEFAULT '24 hours' CHECK (hold_time > '0'),
	buffer_before interval NOT NULL DEFAULT '0' CHECK (buffer_before >= '0'),
	buffer_after interval NOT NULL DEFAULT '0' CHECK (buffer_after >= '0'),
	terms text NOT NULL DEFAULT '' CHECK (length(terms) <= 50000),
	terms_version integer NOT NULL DEFAULT 0 CHECK (terms_version >= 0),
	payout_details text CHECK (payout_details <> '' AND length(payout_details) <= 1000),
	is_active boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	UNIQUE (id, currency)
);
COMMENT ON TABLE vendors IS 'The tenants: businesses that rent things out.';
COMMENT ON COLUMN vendors.currency IS 'ISO 4217; orders refer to it, so it stays once there are any';
COMMENT ON COLUMN vendors.time_zone IS 'IANA name; the vendor''s days and years are counted by it';
COMMENT ON COLUMN vendors.tax_number IS 'as it stands on invoices; null: none';
COMMENT ON COLUMN vendors.default_tax IS 'percent';
COMMENT ON COLUMN vendors.commission IS 'percent that the operator keeps; only administrators set it';
COMMENT ON COLUMN vendors.minimum_notice IS 'how long before its start a customer must place an order';
COMMENT ON COLUMN vendors.hold_time IS 'how long a placed order holds its stock while it waits to be confirmed';
COMMENT ON COLUMN vendors.buffer_before IS 'preparation before each rental, for new products that do not say otherwise';
COMMENT ON COLUMN vendors.buffer_after IS 'turnaround after each rental, for new products that do not say otherwise';
COMMENT ON COLUMN vendors.terms IS 'terms of business';
COMMENT ON COLUMN vendors.terms_version IS 'how often the terms have changed';
COMMENT ON COLUMN vendors.payout_details IS 'where its money goes; shown to owners and administrators only, null to others';
COMMENT ON COLUMN vendors.is_active IS 'false: shut by an administrator, so not in the directory and without new orders of customers';

CREATE TABLE vendor_members (
	vendor_id uuid NOT NULL REFERENCES vendors,
	user_id uuid NOT NULL UNIQUE REFERENCES users,
	role text NOT NULL CHECK (role IN ('owner', 'manager', 'staff')),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (vendor_id, user_id)
);
COMMENT ON TABLE vendor_members IS 'The team of each vendor.';

CREATE TABLE sessions (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	user_id uuid NOT NULL REFERENCES users,
	refresh_hash bytea NOT NULL UNIQUE,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	revoked_at timestamptz
);
CREATE INDEX ON sessions (user_id);
COMMENT ON TABLE sessions IS 'One row for each log-in.';
COMMENT ON COLUMN sessions.refresh_hash IS 'SHA-256 of the refresh token that is good now; each token is used once';

CREATE VIEW user_view AS
SELECT u.id, u.email, u.name, u.phone, u.role, m.vendor_id, u.is_active, u.created_at
FROM users u LEFT JOIN vendor_members m ON m.user_id = u.id;
COMMENT ON VIEW user_view IS 'An account as its owner sees it.';
COMMENT ON COLUMN user_view.vendor_id IS 'the vendor whose team the user belongs to, or null';

CREATE TYPE auth_session AS (refresh text, expires_at timestamptz, "user" user_view);
COMMENT ON TYPE auth_session IS 'A log-in. Over HTTP the access token stands first, as "access".';

CREATE FUNCTION auth_signup(email text, password text, name text, role text DEFAULT 'customer', phone text DEFAULT NULL,
	business_name text DEFAULT NULL, currency text DEFAULT 'EUR', time_zone text DEFAULT 'UTC') RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_signup(text, text, text, text, text, text, text, text) IS
	'Makes an account and logs it in. role is customer or vendor; a vendor needs business_name and gets a location "Main". Errors: already_exists, invalid_value.';

CREATE FUNCTION auth_login(email text, password text) RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_login(text, text) IS
	'Logs in. Unknown address, wrong password and inactive account cost the same and read the same: invalid_credentials.';

CREATE FUNCTION auth_refresh(refresh text) RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_refresh(text) IS 'A new access and refresh token for a refresh token, which is good only once. Error: invalid_token.';

CREATE FUNCTION auth_logout(refresh text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_logout(text) IS 'Ends the session of a refresh token; an unknown token is no error.';

CREATE FUNCTION user_me() RETURNS user_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_me() IS 'The caller''s own account.';

CREATE TYPE new_account AS (role text, email text, password text);
COMMENT ON TYPE new_account IS 'An account just made, with its password, which is shown only here.';

CREATE FUNCTION account_create(email text, name text, role text, vendor_id uuid DEFAULT NULL) RETURNS new_account
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION account_create(text, text, text, uuid) IS
	'Makes an account with a random password, for administrators. With a vendor the account becomes its owner. Errors: already_exists, forbidden.';

CREATE FUNCTION admin_create(email text) RETURNS new_account
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION admin_create(text) IS 'Makes an administrator with a random password, which is shown only here.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('POST', '/api/auth/signup/', 'rental.auth_signup', '{public}', 201, 'password', 'auth', 'Make an account', true),
	('POST', '/api/auth/login/', 'rental.auth_login', '{public}', 200, 'password', 'auth', 'Log in', true),
	('POST', '/api/auth/refresh/', 'rental.auth_refresh', '{public}', 200, 'write', 'auth', 'Renew the tokens', true),
	('POST', '/api/auth/logout/', 'rental.auth_logout', '{public}', 204, 'write', 'auth', 'Log out', true),
	('GET', '/api/users/me/', 'rental.user_me', '{user}', 200, 'read', 'users', 'Own account', true);
