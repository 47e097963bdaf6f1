# Sourced by run, check and bench after script/cluster: starts and stops the HTTP server of a cluster.
# It runs as the server's user, so that the socket's peer authentication lets it in as rental_shim, and
# from a copy of the binary, which that user can reach and a rebuild does not pull away.

# shim_start DATABASE PORT: sets SHIM_PID and exports RENTAL_URL, RENTAL_ADMIN_URL, RENTAL_JWT_SECRET_FILE.
# What the caller's environment says in other RENTAL_* variables goes through to the server; SANITIZE=1 starts
# the build with sanitizers.
shim_start() {
	local admin_port binary=$ROOT/build/rental-shim
	sql "$1" -c "ALTER ROLE rental_shim LOGIN"
	shim_secret
	[ "${SANITIZE-}" != 1 ] || binary+=-sanitize
	install -m 0755 "$binary" "$STATE/rental-shim"
	# the server finds its page beside itself
	rm -rf -- "$STATE/docs"
	[ ! -d "$ROOT/build/docs" ] || (umask 022 && cp -r -- "$ROOT/build/docs" "$STATE/docs")
	if [ ! -d "$STATE/uploads" ]; then
		mkdir -m 0700 -- "$STATE/uploads"
		chown "$SERVER_USER" "$STATE/uploads"
	fi
	admin_port=$(kept_port "$RUNDIR/admin-port")
	export RENTAL_URL=http://127.0.0.1:$2
	export RENTAL_ADMIN_URL=http://127.0.0.1:$admin_port
	export RENTAL_JWT_SECRET_FILE=$STATE/jwt.secret
	# A session of its own: Ctrl-C reaches this script, which then stops the server in order.
	(
		export RENTAL_DATABASE_URL="postgresql:///$1?host=$SOCKETS&port=$PGPORT&user=rental_shim"
		export RENTAL_BIND=127.0.0.1
		# each thread holds connections, of which the private cluster has 100
		export RENTAL_THREADS=${RENTAL_THREADS:-$(nproc | awk '{ print $1 < 8 ? $1 : 8 }')}
		export RENTAL_ADMIN_PORT=$admin_port RENTAL_ADMIN_BIND=127.0.0.1
		export RENTAL_UPLOAD_DIR=${RENTAL_UPLOAD_DIR:-$STATE/uploads}
		as_server env PORT="$2" setsid "$STATE/rental-shim"
	) </dev/null >>"$STATE/shim.log" 2>&1 9>&- &
	SHIM_PID=$!
	echo "$SHIM_PID" >"$STATE/shim.pid"
	shim_ready
}

# shim_ready: wait until it answers; when it dies or stays silent, show why.
shim_ready() {
	local try
	for try in {1..150}; do
		kill -0 "$SHIM_PID" 2>/dev/null || break
		! curl -fs -m 2 -o /dev/null "$RENTAL_URL/readyz" || return 0
		sleep 0.1
	done
	if kill -0 "$SHIM_PID" 2>/dev/null; then
		say "the server is not ready after ${try} tries; it says:"
		curl -s -m 2 "$RENTAL_URL/readyz" >&2 || true
	else
		say "the server stopped at once"
	fi
	tail -n 20 "$STATE/shim.log" >&2
	return 1
}

# shim_secret: the key that signs access tokens; only the shim's user (and root) can read it.
shim_secret() {
	[ ! -s "$STATE/jwt.secret" ] || return 0
	(umask 077 && head -c 48 /dev/urandom | base64 -w0 >"$STATE/jwt.secret.new")
	chown "$SERVER_USER" "$STATE/jwt.secret.new"
	mv -- "$STATE/jwt.secret.new" "$STATE/jwt.secret"
}

shim_pid() {
	local pid=
	{ read -r pid <"$STATE/shim.pid"; } 2>/dev/null || return 1
	process_is "$pid" "$STATE/rental-shim" || return 1
	echo "$pid"
}

shim_running() {
	shim_pid >/dev/null
}

# shim_stop: ask, wait for the requests under way, insist at last.
shim_stop() {
	local pid try
	pid=$(shim_pid) || return 0
	kill -TERM "$pid" 2>/dev/null || true
	for try in {1..150}; do
		shim_running || return 0
		sleep 0.1
	done
	say "the server did not stop within ${try} tries; killing it"
	kill -KILL "$pid" 2>/dev/null || true
	return 1
}
