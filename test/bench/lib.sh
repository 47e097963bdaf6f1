# Sourced by the benchmarks (. "$BENCH_LIB"): what they measure with. script/bench sets the environment:
#
#   PGHOST PGPORT PGUSER PGDATABASE   a fresh database with the extension, durable settings
#   RENTAL_URL                        the server on it; RENTAL_JWT_SECRET_FILE signs its tokens
#   BENCH_POSTMASTER BENCH_SHIM       process ids of the two
#   BENCH_DIR                         a directory for figures and scratch files
#
# The speed of a machine drifts, so a benchmark compares: it runs its variants in turns, takes medians, prints
# ratios, prefers CPU time to wall time, and prints the CPU time of a fixed loop beside them.

set -euo pipefail
BENCH_TICK_US=$((1000000 / $(getconf CLK_TCK)))

# bench_ticks PID...: clock ticks of CPU time, user and system, of these processes and all their children,
# the living and the ended.
bench_ticks() {
	{ cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v roots="$*" '
		BEGIN { n = split(roots, r, " "); for (i = 1; i <= n; i++) wanted[r[i]] = 1 }
		{
			pid = $1
			sub(/^.*\) /, "")	# a command may hold blanks and parentheses
			parent[pid] = $2
			ticks[pid] = $12 + $13 + $14 + $15
		}
		END {
			for (pid in ticks)
				for (p = pid; p in parent; p = parent[p])
					if (p in wanted) { sum += ticks[pid]; break }
			print sum + 0
		}'
}

# bench_server_us: CPU time so far of the database server, in microseconds.
bench_server_us() {
	echo $(($(bench_ticks "$BENCH_POSTMASTER") * BENCH_TICK_US))
}

# bench_shim_us: the same of the HTTP server.
bench_shim_us() {
	echo $(($(bench_ticks "$BENCH_SHIM") * BENCH_TICK_US))
}

# bench_record NAME VALUE: one more figure of that name.
bench_record() {
	echo "$2" >>"$BENCH_DIR/figure.$1"
}

# bench_median NAME: the median of the figures of that name.
bench_median() {
	sort -g "$BENCH_DIR/figure.$1" |
		awk '{ v[NR] = $1 } END { if (!NR) exit 1; m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

# bench_count NAME: how many there are.
bench_count() {
	wc -l <"$BENCH_DIR/figure.$1"
}

# bench_calibrate: CPU milliseconds of a fixed loop, recorded as `calibration`.
bench_calibrate() {
	bench_record calibration "$(perl -MTime::HiRes=clock -e '
		my $x = 1;
		$x = ($x * 1103515245 + 12345) & 0x7fffffff for 1 .. 2_000_000;
		printf "%.1f\n", 1000 * clock()')"
}

# bench_age makes the database server one that has run for a while: all its buffers have been in use, and its log goes on in
# segments that are there. A new one makes both anew as it goes, at the expense of whoever writes.
bench_age() {
	psql -XAtq -v ON_ERROR_STOP=1 >/dev/null <<-'SQL'
		ALTER SYSTEM SET min_wal_size = '4GB';
		SELECT pg_reload_conf();
		CREATE UNLOGGED TABLE public.bench_filler (t text);
		ALTER TABLE public.bench_filler ALTER t SET STORAGE PLAIN;
		INSERT INTO public.bench_filler SELECT repeat('x', 8000) FROM generate_series(1, (SELECT setting::integer FROM pg_settings WHERE name = 'shared_buffers'));
		DROP TABLE public.bench_filler;
		SELECT count(pg_logical_emit_message(true, 'bench', n::text)), count(pg_switch_wal()) FROM generate_series(1, 200) n;
		CHECKPOINT;
	SQL
}

# bench_interleave ROUNDS FUNCTION...: each function in turn, ROUNDS times, a calibration before each round.
bench_interleave() {
	local rounds=$1 round run
	shift
	for ((round = 1; round <= rounds; round++)); do
		bench_calibrate
		for run in "$@"; do
			"$run"
		done
	done
}

# bench_pgbench NAME SECONDS CLIENTS PGBENCH-ARGUMENT...: a pgbench run (without its own tables); records
# NAME.tps and NAME.us, the server's CPU microseconds for each transaction. A failed transaction fails it.
bench_pgbench() {
	local name=$1 seconds=$2 clients=$3 log=$BENCH_DIR/pgbench.log before after
	shift 3
	before=$(bench_server_us)
	pgbench -n -T "$seconds" -c "$clients" -j "$((clients < 2 ? 1 : 2))" "$@" >"$log" 2>&1 ||
		{ cat "$log" >&2; return 1; }
	sleep 0.3 # a server process that ends while the ticks are read would be counted nowhere
	after=$(bench_server_us)
	bench_record "$name.tps" "$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$log")"
	bench_record "$name.us" "$(awk -v spent=$((after - before)) '
		/^number of transactions actually processed:/ { sub(/\/.*/, "", $6); done = $6 }
		END { if (!done) exit 1; printf "%.2f\n", spent / done }' "$log")"
}

# bench_ratio TEXT A B [UNIT]: median of A over median of B, with both.
bench_ratio() {
	awk -v text="$1" -v a="$(bench_median "$2")" -v b="$(bench_median "$3")" -v an="$2" -v bn="$3" \
		-v n="$(bench_count "$2")" -v unit="${4-}" 'BEGIN {
			if (b == 0) { print text ": nothing to compare with"; exit 1 }
			printf "%-48s %8.3f   (%s %.1f %s, %s %.1f %s, median of %d)\n", text, a / b, an, a, unit, bn, b, unit, n }'
}

# bench_value TEXT NAME [UNIT]: one median.
bench_value() {
	printf '%-48s %8.1f %s\n' "$1" "$(bench_median "$2")" "${3-}"
}

# bench_machine: what the figures were taken on, and how steady it was.
bench_machine() {
	printf 'machine: %s cores, PostgreSQL %s, fixed loop %s ms (%s to %s)\n' "$(nproc)" \
		"$(psql -XAtc 'SHOW server_version')" "$(bench_median calibration)" \
		"$(sort -g "$BENCH_DIR/figure.calibration" | head -n 1)" \
		"$(sort -g "$BENCH_DIR/figure.calibration" | tail -n 1)"
}
