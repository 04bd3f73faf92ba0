#!/bin/sh
# Makes the secrets of the stack, once, beside this script: LibreChat's into .env, and the public key of its tokens into
# keys/, which is all that CodeSession gets.
set -eu
umask 077
cd "$(dirname "$0")"
kid=lc-codeapi-2026-05
if test -e .env; then
    echo "setup.sh: $(pwd)/.env is there already; without it LibreChat could not read what it has stored" >&2
    exit 1
fi
private=$(openssl genpkey -algorithm ed25519)
mkdir -p keys
printf '%s\n' "$private" | openssl pkey -pubout -out "keys/$kid.pem"
cat > .env <<END
CREDS_KEY=$(openssl rand -hex 32)
CREDS_IV=$(openssl rand -hex 16)
JWT_SECRET=$(openssl rand -hex 32)
JWT_REFRESH_SECRET=$(openssl rand -hex 32)
CODEAPI_JWT_PRIVATE_KEY_BASE64=$(printf '%s\n' "$private" | base64 | tr -d '\n')
END
echo "setup.sh: wrote .env and keys/$kid.pem"
