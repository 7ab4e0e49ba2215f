"""The Dockerfiles, read: what they copy is there, versions are those of the lock."""

import io
import re
import tomllib
from pathlib import Path

import pytest
import yaml

dockerfile_parse = pytest.importorskip(
    "dockerfile_parse", reason="reads Dockerfiles; pip install dockerfile-parse"
)

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "infra/dataflow", ROOT / "infra/kubernetes")
FILES = sorted(file for folder in FOLDERS for file in folder.glob("Dockerfile*"))
OF_CHECKOUT = ["infra/dataflow/Dockerfile", "infra/dataflow/Dockerfile.gpu"]
Step = dict[str, str]


def steps(path: Path) -> list[Step]:
    """Instruction and value of each line; arguments are put in where a Dockerfile sets them."""
    file = io.BytesIO(path.read_bytes())
    parser = dockerfile_parse.DockerfileParser(fileobj=file, env_replace=False)
    found = [one for one in parser.structure if one["instruction"] != "COMMENT"]
    defaults = dict(
        one["value"].split("=", 1)
        for one in found
        if one["instruction"] == "ARG" and "=" in one["value"]
    )
    for one in found:
        one["value"] = re.sub(
            r"\$\{(\w+)\}", lambda name: defaults.get(name[1], name[0]), one["value"]
        )
    return found


def values(path: Path, instruction: str) -> list[str]:
    return [one["value"] for one in steps(path) if one["instruction"] == instruction]


def locked(package: str) -> str:
    found = re.search(
        rf"^{re.escape(package)}==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    assert found is not None, package
    return found[1]


@pytest.mark.parametrize("path", FILES, ids=lambda one: one.name)
def test_a_dockerfile_says_how_it_is_built_and_pins_what_it_starts_from(path: Path) -> None:
    text = path.read_text()
    assert f"--file {path.relative_to(ROOT)}" in text
    for base in values(path, "FROM"):
        image = base.split(" AS ")[0]
        is_ours = image == "${IMAGE}"
        is_launcher = "template-launcher" in image  # said there, why
        assert is_ours or is_launcher or re.search(r":v?\d[\w.-]*$", image), image
    assert "ADD " not in text.replace("#", "")
    assert not re.search(r"(?i)(password|secret_key|api_key|token)=", text)


@pytest.mark.parametrize("name", OF_CHECKOUT)
def test_what_is_copied_stands_in_the_checkout(name: str) -> None:
    copied = [one.split() for one in values(ROOT / name, "COPY")]
    sources = {word for words in copied if "--from" not in words[0] for word in words[:-1]}
    assert sources >= {"requirements.lock", "pyproject.toml", "pipelines", "tokenize"}
    for source in sources:
        assert (ROOT / source).exists(), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert package.split("/")[0] in sources, f"{package} is in the wheel, not in the image"


@pytest.mark.parametrize("name", OF_CHECKOUT)
def test_beam_in_the_image_is_the_one_of_the_lock(name: str) -> None:
    bases = [one for one in values(ROOT / name, "FROM") if "beam_python" in one]
    assert [re.search(r":([\d.]+)( |$)", one)[1] for one in bases] == [locked("apache-beam")]  # type: ignore[index]
    assert locked("gcsfs")
    assert locked("hatchling"), "the package is built without isolation"


def test_vllm_is_the_version_of_the_packs() -> None:
    packs = (ROOT / "infra/vllm/vllm.txt").read_text()
    version = re.search(r"^vllm==(\S+)", packs, re.MULTILINE)
    assert version is not None
    bases = values(ROOT / "infra/dataflow/Dockerfile.gpu", "FROM")
    assert f"vllm/vllm-openai:v{version[1]}" in bases


@pytest.mark.parametrize("name", OF_CHECKOUT)
def test_kernels_are_compiled_for_a_processor_that_all_workers_share(
    name: str, tmp_path: Path
) -> None:
    found = steps(ROOT / name)
    order = [one["instruction"] for one in found]
    warm = next(n for n, one in enumerate(found) if "pipelines.annotate.warm" in one["value"])
    assert "pipelines.extract.warm" in found[warm]["value"]
    assert found[warm - 1] == {**found[warm - 1], "instruction": "WORKDIR", "value": "/"}
    settings = " ".join(one["value"] for one in found[:warm] if one["instruction"] == "ENV")
    assert "NUMBA_CPU_NAME=x86-64-v3" in settings
    assert "NUMBA_CPU_FEATURES=" in settings
    assert order[-1] == "ENTRYPOINT"


@pytest.mark.parametrize("name", OF_CHECKOUT)
def test_the_last_word_is_beams_boot(name: str) -> None:
    assert values(ROOT / name, "ENTRYPOINT") == ['["python", "/opt/tokenmill/entrypoint.py"]']
    text = (ROOT / "infra/dataflow/entrypoint.py").read_text()
    assert 'BOOT: Final = "/opt/apache/beam/boot"' in text


@pytest.mark.parametrize("name", OF_CHECKOUT)
def test_beams_boot_starts_the_python_that_has_the_packages(name: str) -> None:
    found = steps(ROOT / name)
    words = " ".join(one["value"] for one in found if one["instruction"] == "ENV").split()
    assert "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1" in words
    paths = [word for word in words if word.startswith("PATH=")]
    made = re.findall(r"uv venv [^&]* (/\S+)\s+&&", " ".join(values(ROOT / name, "RUN")))
    assert paths == [f"PATH={folder}/bin:${{PATH}}" for folder in made]


def test_sparks_image_starts_as_the_user_that_it_makes() -> None:
    path = ROOT / "infra/kubernetes/Dockerfile.spark"
    found = steps(path)
    (made,) = [one["value"] for one in found if "useradd" in one["value"]]
    assert "--uid 185 " in made
    assert re.search(r"install .* tini", made), "the entry starts it"
    order = [(one["instruction"], one["value"]) for one in found]
    user = order.index(("USER", "185"))
    assert {name for name, _ in order[user:]} == {"USER", "ENTRYPOINT"}
    copied = [value for value in values(path, "COPY") if value.endswith(" /opt/spark")]
    assert copied == ["--from=spark --chown=spark:spark /opt/spark /opt/spark"]


@pytest.mark.parametrize(
    ("config", "name"), zip(["cloudbuild.yaml", "cloudbuild-gpu.yaml"], OF_CHECKOUT, strict=True)
)
def test_cloud_build_builds_one_file_each(config: str, name: str) -> None:
    build = yaml.safe_load((ROOT / "infra/dataflow" / config).read_text())
    (step,) = build["steps"]
    assert step["args"][:3] == ["build", "--file", name]
    assert build["images"] == [step["args"][4]]


def test_cloud_build_puts_a_corpus_where_docker_does() -> None:
    build = yaml.safe_load((ROOT / "infra/dataflow/cloudbuild-corpus.yaml").read_text())
    (step,) = build["steps"]
    first, *written, end, _ = step["args"][1].split("\n")
    assert first == f'docker build --file - --tag "{build["images"][0]}" . <<END'
    assert end == "END"
    dockerfile = steps(ROOT / "infra/dataflow/Dockerfile.corpus")
    lines = [f"{s['instruction']} {s['value']}" for s in dockerfile if s["instruction"] != "ARG"]
    assert [line.replace("${_BASE}", "${IMAGE}") for line in written] == lines
