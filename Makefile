# Builds the extension (PGXS) and the HTTP server (src/shim), and names the commands of daily work.
# `make help` lists them. It must parse where nothing is installed yet, since `make run` and `make check`
# start there: those targets only call a script, which installs the packages and then comes back here.

EXTENSION = rental
# Not VERSION: that is PostgreSQL's own once PGXS is read.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)
PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)

SCRIPT_GOALS = run up down clean-run check check-sanitize race money property reports model bench fuzz deps format lint docs dist help
.DEFAULT_GOAL := all
.PHONY: $(SCRIPT_GOALS) shim docs

# PGXS is wanted by every goal that is not a script, `make` alone included.
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(SCRIPT_GOALS) bench-%,$(MAKECMDGOALS)),all),)
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifneq ($(PGXS),)
MODULE_big = $(EXTENSION)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/extension/*.c)))
DATA = $(wildcard sql/upgrade/*.sql)
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql

PG_CPPFLAGS = -Isrc/common -Isrc/extension -DRENTAL_VERSION='"$(EXTVERSION)"'
# PostgreSQL was built by gcc and lends its flags, not all of which clang knows.
PG_CFLAGS = -std=gnu11 -MMD -MP $(if $(findstring clang,$(CC)),-Wno-ignored-optimization-argument -Wno-ignored-attributes -Wno-unknown-warning-option)
ifeq ($(WERROR),1)
# -Wextra less what PostgreSQL's own headers, macros (lengthof, Max) and calling convention cannot meet.
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror
endif
SHLIB_LINK = -largon2

# The bitcode for JIT inlining needs clang and gains nothing here; `make with_llvm=yes` builds it.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

# The tests expect the extension to be there: pg_regress creates it after what it requires.
REGRESS = $(filter-out $(EXTENSION)--%,$(basename $(notdir $(sort $(wildcard sql/*.sql)))))
REQUIRES := $(shell sed -n "/^requires/s/[^']*'\([^']*\)'.*/\1/p" $(EXTENSION).control | tr ',' ' ')
LOAD_EXTENSIONS = $(addprefix --load-extension=,$(REQUIRES) $(EXTENSION))
REGRESS_OPTS = --inputdir=. --outputdir=build/regress $(LOAD_EXTENSIONS)
ISOLATION = $(basename $(notdir $(sort $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=build/isolation $(LOAD_EXTENSIONS)
REGRESS_PREP = build/regress build/isolation

EXTRA_CLEAN = build $(OBJS:.o=.d) sql/$(EXTENSION)--*.sql

include $(PGXS)

-include $(OBJS:.o=.d)
$(OBJS): Makefile $(EXTENSION).control | need-extension

$(DATA_built): $(sort $(wildcard sql/install/*.sql)) Makefile $(EXTENSION).control
	@test -n "$(filter sql/install/%,$^)" || { echo "sql/install holds no parts" >&2; exit 1; }
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  for part in $(filter sql/install/%,$^); do printf '\n'; cat "$$part"; done; } >$@.tmp
	mv $@.tmp $@

build/regress build/isolation:
	mkdir -p $@

# `make with_shim=no install` is for a machine that wants the extension alone.
ifneq ($(with_shim),no)
all: shim
all: page
endif

else # no pg_config: say so instead of failing on the first missing header
all install installcheck:
	@echo "PostgreSQL's server development files are not here (PG_CONFIG=$(PG_CONFIG)): run 'make deps' first." >&2; exit 1
clean:
	rm -rf build sql/$(EXTENSION)--*.sql src/*/*.o src/*/*.d $(EXTENSION).so
endif
endif

shim: need-shim
	@$(MAKE) --no-print-directory -C src/shim

# The page of the API document is left out where npm is missing or cannot fetch what it is made of.
page:
	@! command -v npm >/dev/null || $(MAKE) -s --no-print-directory -C src/web/docs || \
	  echo "/api/docs/ is left out: npm could not fetch what it is made of" >&2

.PHONY: need-extension need-shim page
need-extension:
	@pkg-config --exists libargon2 libxxhash || { echo "libargon2 or libxxhash (or pkg-config) is not here: run 'make deps' first." >&2; exit 1; }
need-shim:
	@for lib in $(shell sed -n "s,^LIBRARIES = ,,p" src/shim/Makefile); do \
	  pkg-config --exists $$lib || { echo "$$lib (or pkg-config) is not here: run 'make deps' first, or 'make with_shim=no'." >&2; exit 1; }; done

run up down:
	@script/run $@

clean-run:
	@script/run clean

# PGXS has a target `check` of its own, so ours is defined only when it is asked for.
ifneq ($(filter check,$(MAKECMDGOALS)),)
check:
	@script/check
endif

# The HTTP suite against a server with AddressSanitizer and UBSan: what they find ends it, which fails the tests.
check-sanitize:
	@SANITIZE=1 SUITE=http script/check

# The long forms of five tests: a hundred thousand attempts and six crashes; a minute of payments with twenty kills;
# two million operations on timelines;
# a million lines in reports against plain SQL; a hundred thousand steps of orders against a model.
race:
	@RACE_ATTEMPTS=$${RACE_ATTEMPTS:-100000} RACE_CRASHES=$${RACE_CRASHES:-6} SUITE=race TESTS=test/race/race.t script/check
money:
	@MONEY_SECONDS=$${MONEY_SECONDS:-30} MONEY_KILLS=$${MONEY_KILLS:-10} SUITE=race TESTS=test/race/money.t script/check
property:
	@PROPERTY_TRIALS=$${PROPERTY_TRIALS:-50000} SUITE=pgtap TESTS=test/pgtap/timeline.sql script/check
reports:
	@REPORT_ITEMS=$${REPORT_ITEMS:-1000000} REPORT_VENDORS=$${REPORT_VENDORS:-1000} REPORT_PRODUCTS=$${REPORT_PRODUCTS:-20000} SUITE=pgtap TESTS=test/pgtap/reports.sql script/check
model:
	@MODEL_STEPS=$${MODEL_STEPS:-100000} MODEL_VERIFY=$${MODEL_VERIFY:-500} SUITE=model script/check

bench:
	@script/bench

bench-%:
	@script/bench $*

fuzz:
	@$(MAKE) --no-print-directory -s -C test/fuzz run SECONDS=$(or $(filter-out 0,$(SECONDS)),30)

deps:
	@script/deps

format:
	@script/lint fix

lint:
	@script/lint

docs:
	@$(MAKE) -s --no-print-directory -C src/web/docs

dist:
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ --output=$(EXTENSION)-$(EXTVERSION).zip HEAD

help:
	@echo 'make             build the extension and the HTTP server (with_shim=no: the extension alone)'
	@echo 'make deps        install the Debian packages that building and running need'
	@echo 'make install     install the extension into the PostgreSQL of PG_CONFIG'
	@echo 'make run         build, start a private database and the server, load demo data; Ctrl-C stops'
	@echo 'make up, down    the same in the background; stop it'
	@echo '                 PORT=8080  RUNDIR=.run  DEMO=small|none|N|dvdrental  DATA=directory'
	@echo 'make clean-run   forget the private database of RUNDIR'
	@echo 'make check       all tests, in a private database'
	@echo '                 SUITE="regress isolation pgtap upgrade model race http repo real"  TESTS="files or names"  KEEP=1'
	@echo 'make check-sanitize  the HTTP suite, the server with AddressSanitizer and UBSan'
	@echo 'make race        64 connections and crashes, for minutes (RACE_ATTEMPTS, RACE_SEED, RACE_CRASHES)'
	@echo 'make money       payments and invoices under kill -9, for a minute (MONEY_SECONDS, MONEY_SEED, MONEY_KILLS)'
	@echo 'make property    timelines against a model, two million operations (PROPERTY_TRIALS, PROPERTY_SEED)'
	@echo 'make reports     reports against plain SQL, 1,000,000 lines (REPORT_ITEMS, REPORT_VENDORS, REPORT_PRODUCTS, REPORT_SEED)'
	@echo 'make model       orders against a model, 100,000 steps (MODEL_STEPS, MODEL_SEED)'
	@echo 'make bench       all benchmarks; make bench-NAME runs test/bench/bench-NAME'
	@echo 'make fuzz        the fuzz targets of the HTTP server, SECONDS=30 each (needs clang and its fuzzing runtime)'
	@echo 'make format      format the C sources; make lint checks them (clang-format, cppcheck)'
	@echo 'make docs        the page /api/docs/, into build/docs (needs npm)'
	@echo 'make dist        the release archive'
