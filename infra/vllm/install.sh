#!/bin/bash
# Unpacks packs on the machine without network: install.sh TARGET ARCHIVE...
#
# Checks each archive against the .sha256 beside it and unpacks it into TARGET/site; archives that
# are there already are passed over. Then `. TARGET/environment.sh` and the packages can be imported.
# Needs python3 alone: the archives are read by its own lzma and tarfile.
set -euo pipefail
if [ $# -lt 2 ]; then echo "usage: install.sh TARGET ARCHIVE..." >&2; exit 2; fi
mkdir -p "$1"
target=$(cd "$1" && pwd)
shift
mkdir -p "$target/bin" "$target/caches" "$target/installed"
for archive in "$@"; do
  name=$(basename "$archive" .tar.xz)
  mark="$target/installed/$name"
  if cmp --silent "$mark" "${archive%.tar.xz}.sha256"; then
    echo "$name: already there"
    continue
  fi
  (cd "$(dirname "$archive")" && sha256sum --check --strict --quiet "$name.sha256")
  python3 - "$archive" "$target" <<'PYTHON'
import sys, tarfile
with tarfile.open(sys.argv[1], "r|xz") as archive:
    archive.extractall(sys.argv[2], filter="data")
PYTHON
  cp "${archive%.tar.xz}.sha256" "$mark"
  echo "$name: unpacked"
done
cat > "$target/bin/vllm" <<'SHELL'
#!/bin/sh
exec python3 -m vllm.entrypoints.cli.main "$@"
SHELL
chmod +x "$target/bin/vllm"
cat > "$target/environment.sh" <<SHELL
export PATH="$target/bin:\$PATH"
export PYTHONPATH="$target/site\${PYTHONPATH:+:\$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_USE_FLASHINFER_SAMPLER=0 VLLM_WORKER_MULTIPROC_METHOD=spawn
export VLLM_CACHE_ROOT="$target/caches/vllm" TRITON_CACHE_DIR="$target/caches/triton"
export TORCHINDUCTOR_CACHE_DIR="$target/caches/inductor"
SHELL
