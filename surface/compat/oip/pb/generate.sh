#!/bin/sh
# Writes the Go code of inference.proto into the folder that is named, or
# beside it. The generators are those that internal/tools/install.sh installs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=${LEAT_TOOLS:-$here/../../../../.cache/tools}
to=${1:-$here}
PATH=$tools/bin:$PATH "$tools/venv-triton/bin/python" -m grpc_tools.protoc -I "$here" \
    --go_out="$to" --go_opt=paths=source_relative \
    --go-grpc_out="$to" --go-grpc_opt=paths=source_relative inference.proto
