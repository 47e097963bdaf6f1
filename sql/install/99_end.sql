-- Who may do what, and what a dump must hold.

DO $$
DECLARE
	f record;
	t record;
BEGIN
	-- PUBLIC may do nothing: call no function, put no trigger of ours on a table of its own, use no type
	FOR f IN SELECT p.oid::regprocedure AS signature, p.prorettype = 'trigger'::regtype AS is_trigger FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace
	LOOP
		EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', f.signature);
		IF NOT f.is_trigger THEN
			EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO rental_admin', f.signature);
		END IF;
	END LOOP;
	REVOKE ALL ON FUNCTION request_begin(text), api_key_used(uuid[], bigint[], bigint[]) FROM rental_admin;
	REVOKE ALL ON FUNCTION audit_purge(timestamptz), audit_erase(uuid) FROM rental_admin;
	-- (but the row types of tables and views: pg_dump warns of rights on those that an extension sets)
	FOR t IN SELECT y.oid::regtype AS name FROM pg_catalog.pg_type y LEFT JOIN pg_catalog.pg_class c ON c.oid = y.typrelid
		WHERE y.typnamespace = 'rental'::regnamespace AND y.typcategory <> 'A' AND (c.oid IS NULL OR c.relkind = 'c')
	LOOP
		EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', t.name);
	END LOOP;

	-- what says nothing about anybody's business may be called by every role here, timelines by those who reckon with them
	GRANT EXECUTE ON FUNCTION rental.version(), uuid7(), rental.now() TO rental_shim, rental_worker, rental_analyst;
	GRANT USAGE ON TYPE timeline TO rental_analyst, rental_admin;
	FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace AND p.proname LIKE 'timeline%'
	LOOP
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO rental_analyst', f.signature);
	END LOOP;

	-- the shim: its own plumbing and the functions behind endpoints
	FOR f IN SELECT DISTINCT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		LEFT JOIN endpoint e ON e.function = 'rental.' || p.proname
		WHERE p.pronamespace = 'rental'::regnamespace
			AND (e.function IS NOT NULL OR p.proname IN ('request_begin', 'response', 'response_rows', 'response_none', 'endpoint_catalog', 'csv_begin', 'csv_row', 'csv_end', 'activity_record'))
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rental_shim', f.signature);
	END LOOP;

	-- the worker: the jobs
	GRANT EXECUTE ON FUNCTION stock_expire_holds(), stock_widen_overdue(interval), report_fold(integer), activity_purge() TO rental_worker;

	-- analysts: the schema that is made for them; availability and reports
	REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rental_analytics FROM PUBLIC;
	GRANT USAGE ON SCHEMA rental_analytics TO rental_analyst;
	GRANT SELECT ON ALL TABLES IN SCHEMA rental_analytics TO rental_analyst;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rental_analytics TO rental_analyst;
	FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace AND (p.proname LIKE 'report\_%' AND p.proname NOT IN ('report_describe', 'report_fold', 'report_rebuild') OR p.proname ~ '^(un|next_)?availab' OR p.proname IN ('shortages', 'price', 'late_fee'))
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rental_analyst', f.signature);
	END LOOP;

	-- all data is the user's, save what is derived or came with the extension
	FOR t IN SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('timelines', 'facts_delta', 'facts_daily', 'facts_monthly', 'facts_products', 'facts_zones', 'facts_open', 'endpoint', 'ledger_accounts', 'gateways', 'report_catalog')
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(t.name, '');
	END LOOP;
	PERFORM pg_catalog.pg_extension_config_dump('rental.endpoint', 'WHERE NOT builtin');
	PERFORM pg_catalog.pg_extension_config_dump('rental.gateways', 'WHERE NOT builtin');
	PERFORM pg_catalog.pg_extension_config_dump('rental.report_catalog', 'WHERE NOT builtin');
END $$;
