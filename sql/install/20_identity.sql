-- Identity: users, vendors and their teams, sessions.

CREATE TABLE users (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	email text NOT NULL UNIQUE CHECK (email = lower(email) AND email ~ '^[^@\s]+@[^@\s]+$' AND length(email) <= 254),
	password_hash text NOT NULL,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	phone text CHECK (length(phone) <= 40),
	role text NOT NULL CHECK (role IN ('customer', 'vendor', 'admin')),
	is_active boolean NOT NULL DEFAULT true,
	email_verified_at timestamptz,
	erased_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT rental.now()
);
COMMENT ON TABLE users IS 'Everybody who can log in.';
COMMENT ON COLUMN users.email_verified_at IS 'when it was shown that the address is theirs; null: not yet';
COMMENT ON COLUMN users.erased_at IS 'when what tells whose account it was was taken away; the row stays, since invoices name it';
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

CREATE TABLE profiles (
	user_id uuid PRIMARY KEY REFERENCES users,
	address jsonb CHECK (jsonb_typeof(address) = 'object'),
	avatar text CHECK (length(avatar) <= 2000),
	locale text CHECK (length(locale) <= 20),
	time_zone text
);
COMMENT ON TABLE profiles IS 'What users say about themselves besides name and phone.';
COMMENT ON COLUMN profiles.address IS 'recipient, line1, line2, postal_code, city, region, country (ISO 3166-1, two letters)';
COMMENT ON COLUMN profiles.avatar IS 'an https URL';
COMMENT ON COLUMN profiles.locale IS 'a language tag, such as de or pt-BR (BCP 47)';
COMMENT ON COLUMN profiles.time_zone IS 'IANA name';

CREATE TABLE sessions (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	user_id uuid NOT NULL REFERENCES users,
	secret bytea NOT NULL CHECK (length(secret) = 32),
	client_address text,
	created_at timestamptz NOT NULL,
	last_used_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	revoked_at timestamptz
);
CREATE INDEX ON sessions (user_id, id);
CREATE INDEX ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'One row for each log-in, until seven days after its end.';
COMMENT ON COLUMN sessions.secret IS 'random key from which each refresh token''s successor is made, so that one token has one successor';
COMMENT ON COLUMN sessions.client_address IS 'from where it was used last';
COMMENT ON COLUMN sessions.last_used_at IS 'when its tokens were renewed last';
COMMENT ON COLUMN sessions.expires_at IS '30 days after the log-in; renewing does not move it';

CREATE TABLE refresh_tokens (
	hash bytea PRIMARY KEY CHECK (length(hash) = 32),
	session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
	used_at timestamptz
);
CREATE INDEX ON refresh_tokens (session_id);
COMMENT ON TABLE refresh_tokens IS 'Each refresh token that a session was given, as SHA-256. One use each: a second one ends the session, save within ten seconds.';

CREATE TABLE tokens (
	hash bytea PRIMARY KEY CHECK (length(hash) = 32),
	user_id uuid NOT NULL REFERENCES users,
	purpose text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
	email text NOT NULL,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL
);
CREATE INDEX ON tokens (user_id);
CREATE INDEX ON tokens (expires_at);
COMMENT ON TABLE tokens IS 'Tokens that went out by e-mail, as SHA-256. One use each, which removes the row.';
COMMENT ON COLUMN tokens.email IS 'the address it was sent to, and which its use confirms';

CREATE TABLE login_attempts (
	key bytea PRIMARY KEY CHECK (length(key) = 32),
	failures integer NOT NULL,
	since timestamptz NOT NULL
);
CREATE INDEX ON login_attempts (since);
COMMENT ON TABLE login_attempts IS 'Wrong passwords in an hour, by account and by client address; rental.attempts_account and rental.attempts_address say how many there may be.';
COMMENT ON COLUMN login_attempts.key IS 'SHA-256 of the account''s address or the client''s, so that the table tells nobody who has an account';

CREATE VIEW user_view AS
SELECT u.id, u.email, u.email_verified_at IS NOT NULL AS email_verified, u.name, u.phone, u.role, m.vendor_id, u.is_active, u.created_at
FROM users u LEFT JOIN vendor_members m ON m.user_id = u.id;
COMMENT ON VIEW user_view IS 'An account as its owner sees it.';
COMMENT ON COLUMN user_view.vendor_id IS 'the vendor whose team the user belongs to, or null';

CREATE TYPE user_page AS (count bigint, next text, previous text, results user_view[]);

CREATE VIEW profile_view AS
SELECT u.id AS user_id, u.name, u.phone, p.address, p.avatar, p.locale, p.time_zone
FROM users u LEFT JOIN profiles p ON p.user_id = u.id;
COMMENT ON VIEW profile_view IS 'What a user says about themselves.';

CREATE TYPE session_view AS (id uuid, client_address text, created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, is_current boolean);
COMMENT ON TYPE session_view IS 'A log-in that is good; is_current is the one that asks.';
CREATE TYPE session_page AS (count bigint, next text, previous text, results session_view[]);

CREATE TYPE auth_session AS (refresh text, expires_at timestamptz, "user" user_view);
COMMENT ON TYPE auth_session IS 'A log-in. Over HTTP the access token stands first, as "access".';

CREATE FUNCTION auth_signup(email text, password text, name text, role text DEFAULT 'customer', phone text DEFAULT NULL,
	business_name text DEFAULT NULL, currency text DEFAULT 'EUR', time_zone text DEFAULT 'UTC') RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_signup(text, text, text, text, text, text, text, text) IS
	'Makes an account, logs it in and sends it a token to verify its address. role is customer or vendor; a vendor needs business_name and gets a location "Main". Errors: already_exists, invalid_value.';

CREATE FUNCTION auth_login(email text, password text) RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_login(text, text) IS
	'Logs in. Unknown address, wrong password, inactive account and too many attempts cost the same and read the same: invalid_credentials.';

CREATE FUNCTION auth_refresh(refresh text) RETURNS auth_session
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_refresh(text) IS 'A new access and refresh token for a refresh token, which is good once; within ten seconds it has the same successor again, later its second use ends the session. Error: invalid_token.';

CREATE FUNCTION auth_logout(refresh text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION auth_logout(text) IS 'Ends the session of a refresh token; an unknown token is no error.';

CREATE FUNCTION user_me() RETURNS user_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_me() IS 'The caller''s own account.';

CREATE FUNCTION session_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS session_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION session_list(integer, text, text) IS 'The caller''s log-ins that are good, newest first. Error: forbidden with an API key.';
CREATE FUNCTION session_end(session_id uuid) RETURNS void
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION session_end(uuid) IS 'Ends one of the caller''s log-ins; its tokens die within a second. Errors: not_found, forbidden with an API key.';
CREATE FUNCTION session_end_others() RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION session_end_others() IS 'Ends all of the caller''s log-ins but the one that asks. Error: forbidden with an API key.';

CREATE FUNCTION password_change(current_password text, new_password text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION password_change(text, text) IS 'Sets another password and ends the other log-ins. Errors: invalid_credentials, invalid_value, forbidden with an API key.';
CREATE FUNCTION password_reset(email text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION password_reset(text) IS 'Sends a token to set another password to the address, if it has an account; nothing tells whether it has.';
CREATE FUNCTION password_reset_confirm(token text, new_password text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION password_reset_confirm(text, text) IS 'Sets another password by the token that was sent, which is good once and for an hour, and ends all log-ins. Errors: rule_violated, invalid_value.';
CREATE FUNCTION email_verify(token text) RETURNS user_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION email_verify(text) IS 'Confirms the address that the token was sent to, which becomes the account''s. Good once and for three days. Errors: rule_violated, already_exists.';
CREATE FUNCTION email_verify_send() RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION email_verify_send() IS 'Sends a token to verify the caller''s address; earlier ones are not good any more.';
CREATE FUNCTION email_change(email text, password text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION email_change(text, text) IS 'Sends a token to a new address, which becomes the caller''s when it comes back by email_verify. Error: invalid_credentials.';

CREATE FUNCTION user_me_set(name text, phone text DEFAULT NULL) RETURNS user_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_me_set(text, text) IS 'Sets the caller''s name and phone.';
CREATE FUNCTION user_me_update(name text DEFAULT NULL, phone text DEFAULT NULL) RETURNS user_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_me_update(text, text) IS 'Changes what is given; an empty phone clears it.';
CREATE FUNCTION user_me_erase(password text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_me_erase(text) IS
	'Erases the caller''s account: name, address and log-ins go, orders and invoices stay. Errors: invalid_credentials, conflict while orders are under way, for a member of a team, and for the last administrator.';

CREATE FUNCTION profile_get() RETURNS profile_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION profile_get() IS 'The caller''s profile.';
CREATE FUNCTION profile_replace(name text, phone text DEFAULT NULL, address jsonb DEFAULT NULL, avatar text DEFAULT NULL, locale text DEFAULT NULL,
	time_zone text DEFAULT NULL) RETURNS profile_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION profile_replace(text, text, jsonb, text, text, text) IS 'Sets the whole profile; what is not given is cleared. Errors: invalid_value, unknown_field.';
CREATE FUNCTION profile_update(name text DEFAULT NULL, phone text DEFAULT NULL, address jsonb DEFAULT NULL, avatar text DEFAULT NULL, locale text DEFAULT NULL,
	time_zone text DEFAULT NULL) RETURNS profile_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION profile_update(text, text, jsonb, text, text, text) IS 'Changes what is given; an empty text or object clears a field. Errors: invalid_value, unknown_field.';

CREATE FUNCTION user_list(search text DEFAULT NULL, role text DEFAULT NULL, is_active boolean DEFAULT NULL, page_size integer DEFAULT 20,
	cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS user_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_list(text, text, boolean, integer, text, text) IS 'Accounts, oldest first, for administrators; search finds text in address and name.';
CREATE FUNCTION user_get(user_id uuid) RETURNS user_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_get(uuid) IS 'One account, for administrators. Error: not_found.';
CREATE FUNCTION user_update(user_id uuid, role text DEFAULT NULL, is_active boolean DEFAULT NULL) RETURNS user_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_update(uuid, text, boolean) IS
	'Makes an account an administrator''s or a customer''s, or shuts it out; its log-ins end at once. For administrators. Errors: not_found, invalid_value, invalid_state for a member of a team or an erased account, conflict for the last administrator.';
CREATE FUNCTION user_erase(user_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION user_erase(uuid) IS 'Erases an account, as user_me_erase does, for administrators. Errors: not_found, conflict.';

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
	('POST', '/api/auth/password/change/', 'rental.password_change', '{user}', 204, 'password', 'auth', 'Change the password', true),
	('POST', '/api/auth/password/reset/', 'rental.password_reset', '{public}', 202, 'password', 'auth', 'Ask for another password', true),
	('POST', '/api/auth/password/reset/confirm/', 'rental.password_reset_confirm', '{public}', 204, 'password', 'auth', 'Set another password', true),
	('POST', '/api/auth/email/verify/', 'rental.email_verify', '{public}', 200, 'password', 'auth', 'Verify an address', true),
	('POST', '/api/auth/email/verify/send/', 'rental.email_verify_send', '{user}', 202, 'password', 'auth', 'Send the token again', true),
	('POST', '/api/auth/email/change/', 'rental.email_change', '{user}', 202, 'password', 'auth', 'Change the address', true),
	('GET', '/api/auth/sessions/', 'rental.session_list', '{user}', 200, 'read', 'auth', 'Own log-ins', true),
	('DELETE', '/api/auth/sessions/', 'rental.session_end_others', '{user}', 204, 'write', 'auth', 'End all other log-ins', true),
	('DELETE', '/api/auth/sessions/{session_id}/', 'rental.session_end', '{user}', 204, 'write', 'auth', 'End a log-in', true),
	('GET', '/api/users/me/', 'rental.user_me', '{user}', 200, 'read', 'users', 'Own account', true),
	('PUT', '/api/users/me/', 'rental.user_me_set', '{user}', 200, 'write', 'users', 'Set the own account', true),
	('PATCH', '/api/users/me/', 'rental.user_me_update', '{user}', 200, 'write', 'users', 'Change the own account', true),
	('POST', '/api/users/me/erase/', 'rental.user_me_erase', '{user}', 204, 'password', 'users', 'Erase the own account', true),
	('GET', '/api/users/profile/', 'rental.profile_get', '{user}', 200, 'read', 'users', 'Own profile', true),
	('PUT', '/api/users/profile/', 'rental.profile_replace', '{user}', 200, 'write', 'users', 'Set the own profile', true),
	('PATCH', '/api/users/profile/', 'rental.profile_update', '{user}', 200, 'write', 'users', 'Change the own profile', true),
	('GET', '/api/users/', 'rental.user_list', '{admin}', 200, 'read', 'users', 'Accounts', true),
	('GET', '/api/users/{user_id}/', 'rental.user_get', '{admin}', 200, 'read', 'users', 'One account', true),
	('PATCH', '/api/users/{user_id}/', 'rental.user_update', '{admin}', 200, 'write', 'users', 'Change role or access', true),
	('DELETE', '/api/users/{user_id}/', 'rental.user_erase', '{admin}', 204, 'write', 'users', 'Erase an account', true);
