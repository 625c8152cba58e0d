"""The calls that write: repositories, branches and tags, LFS objects, commits."""

import base64
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.hub.downloads import Downloads
from tests.hub.repositories import GITATTRIBUTES, Blob, HubError, Repository, blob_at, git_oid, goes_to_lfs, lfs_blob


class Uploads(Downloads):
    def _branch(self, repo: str, branch: str) -> Repository:
        repository = self.repository(repo, to_write=True)
        if branch not in repository.branches:
            raise HubError(404, f"Invalid rev id: {branch}", code="RevisionNotFound")
        return repository

    def _named_repository(self) -> tuple[str, dict[str, Any]]:
        if not self.is_authorized():
            raise HubError(401, "Invalid username or password.")
        asked = self.read_json()
        if asked.get("type") != "dataset":
            raise HubError(400, f"this Hub holds datasets only, not {asked.get('type', 'model')!r}")
        return f"{asked.get('organization') or self.hub.user}/{asked['name']}", asked

    def create_repo(self) -> None:
        repo, asked = self._named_repository()
        url = {"url": f"{self.hub.url}/datasets/{repo}"}
        with self.hub.lock:
            if repo in self.hub.repositories:
                self.send_json({"error": "You already created this dataset repo", **url}, status=409)
                return
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            made = self.hub.repositories[repo] = Repository(id=repo, private=private)
            made.commit({".gitattributes": blob_at(".gitattributes", GITATTRIBUTES)}, title="initial commit")
        self.send_json(url)

    def delete_repo(self) -> None:
        repo, _ = self._named_repository()
        self.repository(repo, to_write=True)
        del self.hub.repositories[repo]
        self.send_json({})

    def create_branch(self, repo: str, branch: str) -> None:
        repository = self.repository(repo, to_write=True)
        self._add_ref(repository.branches, branch, repository.at(self.read_json().get("startingPoint") or "main").id)

    def create_tag(self, repo: str, revision: str) -> None:
        repository = self.repository(repo, to_write=True)
        self._add_ref(repository.tags, self.read_json()["tag"], repository.at(revision).id)

    def _add_ref(self, refs: dict[str, str], name: str, commit: str) -> None:
        if name in refs:
            raise HubError(409, f"Reference {name} already exists")
        refs[name] = commit
        self.send_json({})

    def delete_ref(self, repo: str, kind: str, name: str) -> None:
        repository = self.repository(repo, to_write=True)
        if (repository.branches if kind == "branch" else repository.tags).pop(name, None) is None:
            raise HubError(404, f"Invalid rev id: {name}", code="RevisionNotFound")
        self.send_json({})

    # A commit: ask how each file travels, send the LFS objects, then name all changes

    def preupload(self, repo: str, branch: str) -> None:
        files = self._branch(repo, branch).at(branch).files
        answers: list[dict[str, object]] = []
        for file in self.read_json()["files"]:
            there = files.get(file["path"])
            mode = "lfs" if goes_to_lfs(file["path"], file["size"]) else "regular"
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": mode,
                    "shouldIgnore": False,
                    **({"oid": there.etag} if there else {}),
                }
            )
        self.send_json({"files": answers})

    def lfs_batch(self, repo: str) -> None:
        self.repository(repo, to_write=True)
        asked = self.read_json()
        self.send_json(
            {
                "transfer": "basic",
                "objects": [self._lfs_object(item, asked.get("transfers", ["basic"])) for item in asked["objects"]],
            }
        )

    def _lfs_object(self, item: dict[str, Any], transfers: list[str]) -> dict[str, object]:
        if item["oid"] in self.hub.lfs:
            return item  # no actions: it is already here
        url = f"{self.hub.url}/lfs/{item['oid']}"
        upload: dict[str, object] = {"href": url}
        if item["size"] > self.hub.part_bytes and "multipart" in transfers:
            num_parts = -(-item["size"] // self.hub.part_bytes)
            parts = {str(part): f"{url}/{part}" for part in range(1, num_parts + 1)}
            upload = {"href": f"{url}/complete", "header": {"chunk_size": str(self.hub.part_bytes), **parts}}
        return {**item, "actions": {"upload": upload, "verify": {"href": f"{url}/verify"}}}

    def lfs_put(self, sha256: str, part: str) -> None:
        path = self.hub.uploads / f"{sha256}.{part or 'whole'}"
        arriving = path.with_suffix(
            f".{threading.get_ident()}"
        )  # a client that gave up may still be sending the same part
        with arriving.open("wb") as file:
            file.writelines(self.body)
        arriving.replace(path)
        if not part:
            self._keep(sha256, path)
        self.send(200, {"ETag": f'"{sha256}-{part}"', "Content-Length": "0"})

    def lfs_complete(self, sha256: str) -> None:
        whole = self.hub.uploads / f"{sha256}.whole"
        with whole.open("wb") as file:
            for part in self.read_json()["parts"]:
                piece = self.hub.uploads / f"{sha256}.{part['partNumber']}"
                file.write(piece.read_bytes())
                piece.unlink()
        self._keep(sha256, whole)
        self.send_json({})

    def _keep(self, sha256: str, path: Path) -> None:
        blob = lfs_blob(path)
        if blob.sha256 != sha256:
            path.unlink()
            raise HubError(400, f"content has sha256 {blob.sha256}, not {sha256}")
        self.hub.lfs[sha256] = blob

    def lfs_verify(self, sha256: str) -> None:
        if self.lfs_object(sha256).size != self.read_json()["size"]:
            raise HubError(400, f"LFS object {sha256} has another size")
        self.send_json({})

    def commit(self, repo: str, branch: str) -> None:
        repository = self._branch(repo, branch)
        if "create_pr" in self.query:
            raise HubError(400, "this Hub has no pull requests")
        lines = [json.loads(line) for line in self.read_body().splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            head = repository.at(branch)
            if header.get("parentCommit", head.id) != head.id:
                raise HubError(412, f"branch {branch} has moved to {head.id}")
            made = repository.commit(self._changed(dict(head.files), lines), branch=branch, title=header["summary"])
        self.send_json(
            {"success": True, "commitOid": made.id, "commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{made.id}"}
        )

    def _changed(self, files: dict[str, Blob], lines: Iterable[dict[str, Any]]) -> dict[str, Blob]:
        for line in lines:
            path = line["value"].get("path", "")
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                files[path] = Blob(content=content, size=len(content), oid=git_oid(content))
            elif line["key"] == "lfsFile":
                files[path] = self.lfs_object(line["value"]["oid"])
            elif line["key"] != "header":  # deletedFile, deletedFolder
                gone = {known for known in files if known == path or known.startswith(path.rstrip("/") + "/")}
                if not gone:
                    raise HubError(404, f"{path} does not exist", code="EntryNotFound")
                files = {known: blob for known, blob in files.items() if known not in gone}
        return files
