#!/bin/sh
# Brings Temporal's two databases to the schema of this server version. Safe to run at every start.
set -eu
schema() {
  temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database "$1" setup-schema -v 0.0
  temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database "$1" \
    update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$2/versioned"
}
schema temporal temporal
schema temporal_visibility visibility
