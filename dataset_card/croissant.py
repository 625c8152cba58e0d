"""Croissant 1.0 metadata of a packed dataset: its files with hashes, and a record set a task.

    repository (git)  <-  a FileObject a shard, with sha256          <-  a FileSet a task  <-  a RecordSet a task  <-  a
    Field a column

The column `messages` is not among the fields: the parts of a message are a list inside a list, which a Croissant 1.0
reader cannot take out of Parquet (mlcroissant 1.1.1 takes one level and the first match of a JSONPath). The record sets
say so; every Parquet reader has the column.
Source: mlcommons/croissant, docs/croissant-spec-1.0.md
"""

import copy
import hashlib
from typing import Any

import pyarrow as pa

from dataset_card.card import AUTHORS
from dataset_card.columns import MEANINGS, PICTURES
from toolkit.published import PUBLISHED, published_rows
from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.manifest import MANIFEST, Manifest, Shard
from toolkit.tasks import NOT_STATED, task_named

REPOSITORY = "repo"
NOT_A_FIELD = "messages"
# Source: mlcommons/croissant, docs/croissant-spec-1.0.md, appendix "JSON-LD context"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(manifest: Manifest, *, repo_id: str, url: str) -> dict[str, Any]:
    """JSON-LD of a packed dataset; the same for the same arguments.

    Args:
        repo_id: "org/name".
        url: page of the dataset; files are below it, and `git clone` takes it.
    """
    digest = hashlib.sha256(manifest.to_json().encode()).hexdigest()
    return {
        "@context": copy.deepcopy(CONTEXT),  # readers such as mlcroissant add to it
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": repo_id.rpartition("/")[2],
        "alternateName": repo_id,
        "description": (
            "Unified vision-language rows with images in prompts and in answers: "
            f"{manifest.total('rows'):,} rows of {len(manifest.tasks)} tasks."
        ),
        "url": url,
        "license": NOT_STATED,
        "version": f"{manifest.format}.0.0+{digest[:12]}",  # of the layout, and of the content
        **_who(repo_id, is_published=bool(published_rows(manifest.tasks))),
        **_responsible(is_published=bool(published_rows(manifest.tasks))),
        "keywords": ["multimodal", "interleaved", "vision-language", "image generation", "visual reasoning"],
        "distribution": [
            _repository(url, digest),
            *(_file(shard) for shard in manifest.shards),
            *(_file_set(task) for task in manifest.tasks),
        ],
        "recordSet": [_record_set(manifest, task) for task in manifest.tasks],
    }


def _who(repo_id: str, *, is_published: bool) -> dict[str, Any]:
    """Who made it: the paper's authors where tasks of the paper are there, else the owner of the repository."""
    if not is_published:
        return {"creator": [{"@type": "sc:Organization", "name": repo_id.partition("/")[0]}]}
    return {
        # Month of the paper that came with the dataset, as its arXiv number says it; the day the dataset appeared is
        # not stated.
        "datePublished": "2025-09",
        "inLanguage": "en",
        "citeAs": "https://arxiv.org/abs/2509.14738",
        "creator": [{"@type": "sc:Person", "name": f"{given} {family}"} for given, family in AUTHORS],
    }


def _responsible(*, is_published: bool) -> dict[str, Any]:
    """What is known for responsible use. Source: mlcommons/croissant, docs/croissant-rai-spec.md 1.0."""
    made = (
        "Rationales, instructions and many images were made by models (GPT-4, GPT-4o, DALL-E 3, Stable Diffusion). "
        "The rest comes from published sets and web documents, as the paper (arXiv 2509.14738) says."
    )
    return {
        **({"rai:dataCollection": made} if is_published else {}),
        "rai:dataUseCases": "Training and evaluating models that read and write text and images.",
        "rai:dataLimitations": (
            "Empty columns mean not known. No check was made for overlap with test sets. "
            "The licence of the dataset as a whole is not stated."
        ),
        "rai:dataBiases": "Not measured. Texts and images made by models have the biases of these models.",
        "rai:personalSensitiveInformation": "Photographs and web documents may name people. Nothing is filtered.",
        "rai:dataPreprocessingProtocol": "Rows are read, checked and packed; no image is encoded again.",
    }


def _repository(url: str, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": REPOSITORY,
        "name": REPOSITORY,
        "description": (
            f"The repository. A git repository has no hash of its own: sha256 is that of {MANIFEST}, "
            "which holds those of all its data files."
        ),
        "contentUrl": url,
        "encodingFormat": "git+https",
        "sha256": digest,
    }


def _file(shard: Shard) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path.rpartition("/")[2],
        "description": f"{shard.rows:,} rows of {shard.task}.",
        "containedIn": {"@id": REPOSITORY},
        "contentUrl": shard.path,
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard.sha256,
    }


def _file_set(task: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{task}-files",
        "name": f"{task}-files",
        "description": f"Parquet files of {task}.",
        "containedIn": {"@id": REPOSITORY},
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{task}/*.parquet",
    }


def _record_set(manifest: Manifest, task: str) -> dict[str, Any]:
    rows = manifest.total("rows", [task])
    told = PUBLISHED[task].built if task in PUBLISHED else task_named(task, manifest.vocabulary).description
    about = f"; {told}" if told else ""
    return {
        "@type": "cr:RecordSet",
        "@id": task,
        "name": task,
        "description": (
            f"{rows:,} rows{about}. The column {NOT_A_FIELD}, a list of lists, is left "
            "out here; read it from the Parquet files."
        ),
        "key": {"@id": f"{task}/id"},
        "field": [_field(task, column) for column in ARROW_SCHEMA if column.name != NOT_A_FIELD],
    }


def _field(task: str, column: pa.Field) -> dict[str, Any]:
    kind, name = column.type, f"{task}/{column.name}"
    field = {"@type": "cr:Field", "@id": name, "name": column.name, "description": MEANINGS[column.name]}
    if column.name == PICTURES:
        return {**field, "dataType": "sc:ImageObject", "repeated": True, "source": _source(task, column.name, "bytes")}
    if not pa.types.is_list(kind):
        return {**field, "dataType": _data_type(kind), "source": _source(task, column.name)}
    if not pa.types.is_struct(kind.value_type):
        return {
            **field,
            "dataType": _data_type(kind.value_type),
            "repeated": True,
            "source": _source(task, column.name),
        }
    return {**field, "repeated": True, "subField": [_sub_field(task, column.name, part) for part in kind.value_type]}


def _sub_field(task: str, column: str, part: pa.Field) -> dict[str, Any]:
    field = {
        "@type": "cr:Field",
        "@id": f"{task}/{column}/{part.name}",
        "name": part.name,
        "source": _source(task, column, part.name),
    }
    if pa.types.is_fixed_size_list(part.type):
        return {**field, "dataType": _data_type(part.type.value_type), "repeated": True}
    return {**field, "dataType": _data_type(part.type)}


def _source(task: str, column: str, json_path: str = "") -> dict[str, Any]:
    source = {"fileSet": {"@id": f"{task}-files"}, "extract": {"column": column}}
    return {**source, "transform": {"jsonPath": json_path}} if json_path else source


def _data_type(kind: pa.DataType) -> str:
    return {"string": "sc:Text", "int32": "sc:Integer", "float": "sc:Float"}[str(kind)]
