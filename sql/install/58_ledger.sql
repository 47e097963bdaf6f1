-- The ledger: double entry. Functions post; nobody changes what was posted.

CREATE TABLE ledger_accounts (
	code text PRIMARY KEY,
	book text NOT NULL CHECK (book IN ('vendor', 'platform')),
	kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'income', 'expense')),
	name text NOT NULL
);
COMMENT ON TABLE ledger_accounts IS 'The chart of accounts: each vendor''s book, and the platform''s book about that vendor. Part of the extension.';
INSERT INTO ledger_accounts VALUES
	('receivable', 'vendor', 'asset', 'Owed by customers'),
	('cash', 'vendor', 'asset', 'Received by the vendor itself'),
	('platform_claim', 'vendor', 'asset', 'Owed by the platform'),
	('deposit_held', 'vendor', 'asset', 'Deposits that are held'),
	('deposit_owed', 'vendor', 'liability', 'Deposits to be given back'),
	('tax', 'vendor', 'liability', 'Taxes to be paid'),
	('revenue', 'vendor', 'income', 'Rentals and sales'),
	('interest_income', 'vendor', 'income', 'Late interest'),
	('commission', 'vendor', 'expense', 'Commission to the platform'),
	('bad_debt', 'vendor', 'expense', 'Written off'),
	('platform_cash', 'platform', 'asset', 'Received through gateways for vendors'),
	('vendor_payable', 'platform', 'liability', 'Owed to vendors'),
	('commission_income', 'platform', 'income', 'Commission of vendors');

CREATE TABLE ledger_entries (
	vendor_id uuid NOT NULL REFERENCES vendors,
	posting_id uuid NOT NULL,
	line integer NOT NULL,
	account text NOT NULL REFERENCES ledger_accounts,
	amount numeric NOT NULL CHECK (amount <> 0),
	currency text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note', 'charge', 'refund', 'chargeback', 'deposit', 'capture', 'release', 'write_off', 'payout')),
	customer_id uuid REFERENCES users,
	order_id uuid,
	invoice_id uuid,
	payment_id uuid,
	payout_id uuid,
	created_at timestamptz NOT NULL,
	CHECK (num_nonnulls(invoice_id, payment_id, payout_id) = 1),
	PRIMARY KEY (posting_id, line, vendor_id)
);
CREATE INDEX ON ledger_entries (vendor_id, account);
CREATE INDEX ON ledger_entries (invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX ON ledger_entries (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX ON ledger_entries (customer_id);
CREATE INDEX ON ledger_entries (created_at);
COMMENT ON TABLE ledger_entries IS
	'Append-only. The entries of a posting sum to zero in each book and currency; a deferred constraint trigger refuses anything else at commit. There is no balance to lock: balances are sums.';
COMMENT ON COLUMN ledger_entries.amount IS 'debit above zero, credit below, in currency';
COMMENT ON COLUMN ledger_entries.posting_id IS 'what was posted together';

CREATE FUNCTION ledger_balanced() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION ledger_balanced() IS 'Refuses, at commit, a posting whose entries do not sum to zero in each book and currency.';
CREATE CONSTRAINT TRIGGER ledger_balanced AFTER INSERT ON ledger_entries DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION ledger_balanced();
CREATE FUNCTION ledger_kept() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION ledger_kept() IS 'Refuses to change, delete or truncate what is kept for good.';
CREATE TRIGGER ledger_kept BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER ledger_whole BEFORE TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_balanced;
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_kept;
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_whole;

CREATE FUNCTION currency_exponent(currency text) RETURNS integer
	LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'currency_exponent';
COMMENT ON FUNCTION currency_exponent(text) IS 'How many decimals amounts of an ISO 4217 currency have.';

CREATE VIEW ledger_balances AS
SELECT e.vendor_id, a.book, e.account, a.kind, a.name, e.currency, e.customer_id, sum(e.amount) AS balance
FROM ledger_entries e JOIN ledger_accounts a ON a.code = e.account
GROUP BY e.vendor_id, a.book, e.account, a.kind, a.name, e.currency, e.customer_id;
COMMENT ON VIEW ledger_balances IS 'What each account stands at, by vendor, currency and customer: above zero debit, below zero credit.';
