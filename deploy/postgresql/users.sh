#!/bin/sh
# Make the database of the console and its two users, who get only the rights they need:
#   citywatch_owner    owns the database and makes its tables (`citywatch console --prepare citywatch_console`)
#   citywatch_console  reads and writes rows; cannot make tables, and cannot change or remove what was recorded of people
# Run it as a superuser of PostgreSQL, with psql's own variables (PGHOST, PGPORT, PGUSER, ...):
#   OWNER_PASSWORD_FILE=owner.pw CONSOLE_PASSWORD_FILE=console.pw sh deploy/postgresql/users.sh [DATABASE]
# Passwords are read from files and appear on no command line. To run it again changes the passwords, nothing else.
set -eu
database=${1:-citywatch}
: "${OWNER_PASSWORD_FILE:?name a file with the password of citywatch_owner}"
: "${CONSOLE_PASSWORD_FILE:?name a file with the password of citywatch_console}"
for file in "$OWNER_PASSWORD_FILE" "$CONSOLE_PASSWORD_FILE"; do
    [ -s "$file" ] || { echo "users: $file is empty or missing" >&2; exit 1; }
done
export OWNER_PASSWORD_FILE CONSOLE_PASSWORD_FILE

psql -qX -v ON_ERROR_STOP=1 -v database="$database" -d "${PGDATABASE:-postgres}" <<'SQL'
\set owner_password `cat "$OWNER_PASSWORD_FILE"`
\set console_password `cat "$CONSOLE_PASSWORD_FILE"`
SELECT 'CREATE ROLE ' || name || ' LOGIN' FROM (VALUES ('citywatch_owner'), ('citywatch_console')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE citywatch_owner NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE citywatch_console NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'console_password';
SELECT format('CREATE DATABASE %I OWNER citywatch_owner TEMPLATE template0 ENCODING %L', :'database', 'UTF8')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO citywatch_console;
SQL
echo "users: citywatch_owner and citywatch_console may use $database" >&2
