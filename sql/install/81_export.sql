-- Exports: every report as CSV.

CREATE FUNCTION csv_begin(format text, names text[]) RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION csv_begin(text, text[]) IS
	'Begins a text of CSV (RFC 4180) in this transaction by the line of names; null, since nothing is handed out yet. Error: invalid_field for another format than csv.';
CREATE FUNCTION csv_row(item anyelement) RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION csv_row(anyelement) IS
	'Adds a row to the text, and returns 64 KiB of it when so much has come together, else null. Values are those of answers, null is nothing, an empty text "". A text that a spreadsheet would take for a formula (= + - @ tab CR LF at its beginning) gets an apostrophe before it, unless it is a plain number (OWASP, CSV Injection).';
CREATE FUNCTION csv_end() RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION csv_end() IS 'The rest of the text; null if there is none.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, csv)
SELECT e.method, replace(e.path, '/reports/', '/export/'), e.function, e.auth, e.status, e.rate_class, e.tag, e.summary || ' (CSV)', true, true
FROM endpoint e JOIN pg_catalog.pg_proc p ON p.oid = pg_catalog.to_regproc(e.function) AND p.proretset
WHERE e.path LIKE '/api/analytics/reports/_%';
