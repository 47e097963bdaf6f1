-- Who may do what, and what a dump must hold.

DO $$
DECLARE
	f record;
	t record;
BEGIN
	-- nobody may call anything but what is granted below
	FOR f IN SELECT p.oid::regprocedure AS signature, p.prokind FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace AND p.prorettype <> 'trigger'::regtype
	LOOP
		EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', f.signature);
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO rental_admin', f.signature);
	END LOOP;
	REVOKE ALL ON FUNCTION request_begin(uuid, text, uuid, uuid, text, text, text) FROM rental_admin;

	-- what says nothing about anybody's business may be called by every role here
	FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace
			AND (p.proname LIKE 'timeline%' OR p.proname IN ('version', 'uuid7', 'now'))
	LOOP
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', f.signature);
	END LOOP;

	-- the shim: its own plumbing and the functions behind endpoints
	FOR f IN SELECT DISTINCT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		LEFT JOIN endpoint e ON e.function = 'rental.' || p.proname
		WHERE p.pronamespace = 'rental'::regnamespace
			AND (e.function IS NOT NULL OR p.proname IN ('request_begin', 'response', 'response_rows', 'response_headers', 'endpoint_catalog'))
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rental_shim', f.signature);
	END LOOP;

	-- analysts: availability and reports
	FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace AND (p.proname LIKE 'report\_%' OR p.proname ~ '^(un|next_)?availab' OR p.proname = 'shortages')
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rental_analyst', f.signature);
	END LOOP;

	-- all data is the user's, save what is derived or came with the extension
	FOR t IN SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('timelines', 'endpoint')
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(t.name, '');
	END LOOP;
	PERFORM pg_catalog.pg_extension_config_dump('rental.endpoint', 'WHERE NOT builtin');
END $$;
