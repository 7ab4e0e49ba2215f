#!/bin/sh
# Gathers Spark, Flink and Prism into a folder, for `make test-runners` and for trying them by hand:
#
#     eval "$(infra/runners/gather.sh .peers)"
#
# What is there stays. Prints one assignment for each thing that it has; says on stderr which program
# it lacks for the others, whose tests are skipped then. A variable that is set wins over the folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
beam=$(sed -n 's/^apache-beam[^=]*==\([0-9.]*\).*/\1/p' "$here/../../requirements.lock")
spark=3.5.9

lacks() {
  echo "gather.sh: no $1 on PATH, so $2 is not gathered" >&2
}

# Into a folder of another name first, so that what a cut-off download left is not taken for whole.
jars() {
  [ -d "$folder/$1-jars" ] && return
  rm -rf "$folder/$1-partial"
  mvn -q -B -f "$here/$1/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$folder/$1-partial" >&2
  mv "$folder/$1-partial" "$folder/$1-jars"
}

pyspark() {
  [ -d "$folder/spark" ] && return
  rm -rf "$folder/spark-partial"
  "${PYTHON:-python3}" -m pip install --quiet --no-deps --target "$folder/spark-partial" \
    "pyspark==$spark" >&2
  mv "$folder/spark-partial" "$folder/spark"
}

if ! command -v java > /dev/null; then
  lacks java "Spark and Flink"
elif ! command -v mvn > /dev/null; then
  lacks mvn "Spark and Flink"
else
  jars spark
  jars flink
  pyspark
  echo "export TOKENMILL_SPARK_JARS='${TOKENMILL_SPARK_JARS:-$folder/spark-jars}'"
  echo "export TOKENMILL_FLINK_JARS='${TOKENMILL_FLINK_JARS:-$folder/flink-jars}'"
  echo "export TOKENMILL_SPARK_HOME='${TOKENMILL_SPARK_HOME:-$folder/spark/pyspark}'"
fi

if [ -n "${TOKENMILL_PRISM:-}" ] || [ -x "$folder/bin/prism" ]; then
  echo "export TOKENMILL_PRISM='${TOKENMILL_PRISM:-$folder/bin/prism}'"
elif ! command -v go > /dev/null; then
  lacks go Prism
else
  GOBIN="$folder/bin" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$beam" >&2
  echo "export TOKENMILL_PRISM='$folder/bin/prism'"
fi
