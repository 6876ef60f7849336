#!/bin/sh
# Runs once, when the volume is new: a database and a user of its own for Customhouse, and for Temporal.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$POSTGRES_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE customhouse LOGIN PASSWORD :'password';
CREATE DATABASE customhouse OWNER customhouse;
CREATE ROLE temporal LOGIN PASSWORD :'password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
\connect customhouse
CREATE EXTENSION vector;
SQL
