-- Messages to people, until they are sent.

CREATE TABLE notifications (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	user_id uuid REFERENCES users,
	channel text NOT NULL CHECK (channel IN ('email')),
	template text NOT NULL,
	recipient text NOT NULL,
	data jsonb NOT NULL,
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
	created_at timestamptz NOT NULL
);
CREATE INDEX ON notifications (id) WHERE status = 'queued';
CREATE INDEX ON notifications (user_id);
COMMENT ON TABLE notifications IS 'Messages to people. A row commits with what it is about; whoever sends it takes the rows that are queued.';
COMMENT ON COLUMN notifications.template IS 'what it says: verify_email, reset_password';
COMMENT ON COLUMN notifications.data IS 'what the template is filled with; may hold a token, so it is emptied once the message is sent';
