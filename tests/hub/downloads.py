"""The calls that read: who may, and what repositories, listings and files look like to them."""

from urllib.parse import parse_qs, quote

from tests.hub.repositories import Blob, HubError, Repository
from tests.hub.wire import Wire


class Downloads(Wire):
    def is_authorized(self) -> bool:
        given = self.headers.get("Authorization", "")
        if given and given != f"Bearer {self.hub.token}":
            raise HubError(401, "Invalid credentials in Authorization header")
        return bool(given)

    def repository(self, repo: str, *, to_write: bool = False) -> Repository:
        """Without a token the Hub does not tell a missing repository from a private one: both are 401.

        Over https clients recognise that 401 by the URL alone (hf_raise_for_status, REPO_API_REGEX); over http they
        need the code.
        """
        authorized = self.is_authorized()
        repository = self.hub.repositories.get(repo)
        if repository is None or (not authorized and (to_write or repository.private)):
            raise HubError(404 if authorized else 401, "Repository not found", code="RepoNotFound")
        return repository

    def whoami(self) -> None:
        if not self.is_authorized():
            raise HubError(401, "Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "loopback", "role": "write"}}
        self.send_json(
            {"type": "user", "id": "1", "name": self.hub.user, "fullname": self.hub.user, "orgs": [], "auth": auth}
        )

    def validate_yaml(self) -> None:
        self.send_json({"errors": [], "warnings": []})

    def info(self, repo: str, revision: str) -> None:
        repository = self.repository(repo)
        commit = repository.at(revision or "main")
        siblings: list[dict[str, object]] = [{"rfilename": path} for path in sorted(commit.files)]
        if "blobs" in self.query:
            for sibling in siblings:
                blob = commit.files[str(sibling["rfilename"])]
                sibling.update(size=blob.size, blobId=blob.oid)
                if blob.sha256:
                    sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
        about = {
            "id": repo,
            "author": repo.split("/")[0],
            "sha": commit.id,
            "lastModified": commit.date,
            "tags": [],
            "siblings": siblings,
        }
        self.send_json(
            {
                **about,
                "private": repository.private,
                "gated": "auto" if repository.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
            }
        )

    def tree(self, repo: str, revision: str, path: str) -> None:
        commit = self.repository(repo).at(revision)
        expand = self.query.get("expand", "").lower() == "true"
        entries = commit.entries(path, recursive=self.query.get("recursive", "").lower() == "true", expand=expand)
        start = int(self.query.get("cursor", 0))
        end = start + self.hub.page_entries
        here = self.path.partition("?")[0]
        more = "&".join(f"{key}={quote(value)}" for key, value in {**self.query, "cursor": str(end)}.items())
        self.send_json(
            entries[start:end],
            headers={"Link": f'<{self.hub.url}{here}?{more}>; rel="next"'} if end < len(entries) else {},
        )

    def paths_info(self, repo: str, revision: str) -> None:
        commit = self.repository(repo).at(revision)
        form = parse_qs(self.read_body().decode())
        known = {str(entry["path"]) for entry in commit.entries()}
        expand = form.get("expand", [""])[0].lower() == "true"
        self.send_json([commit.entry(path, expand=expand) for path in form.get("paths", []) if path in known])

    def refs(self, repo: str) -> None:
        repository = self.repository(repo)
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
            for name, commit in repository.branches.items()
        ]
        tags = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit}
            for name, commit in repository.tags.items()
        ]
        self.send_json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})

    def commits(self, repo: str, revision: str) -> None:
        history = self.repository(repo).history(revision)
        authors = [{"user": self.hub.user}]
        self.send_json(
            [
                {"id": commit.id, "title": commit.title, "message": "", "authors": authors, "date": commit.date}
                for commit in history
            ]
        )

    def resolve(self, repo: str, revision: str, path: str) -> None:
        repository = self.repository(repo)
        if repository.gated and not self.is_authorized():
            raise HubError(401, f"Access to dataset {repo} is restricted.", code="GatedRepo")
        commit = repository.at(revision)
        headers = {"X-Repo-Commit": commit.id}
        blob = commit.files.get(path)
        if blob is None:
            raise HubError(404, "Entry not found", code="EntryNotFound", headers=headers)
        if blob.sha256:
            headers |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.sha256}"'}
        if blob.sha256 and self.hub.redirects:
            location = f"{self.hub.cdn_url}/cdn/{blob.sha256}/{quote(path)}"
            self.send(302, {**headers, "ETag": f'"{blob.sha256}"', "Location": location, "Content-Length": "0"})
        else:
            self.send_blob(blob, headers)

    def cdn(self, sha256: str) -> None:
        self.send_blob(self.lfs_object(sha256), {})

    def lfs_object(self, sha256: str) -> Blob:
        if sha256 not in self.hub.lfs:
            raise HubError(404, f"no LFS object {sha256}")
        return self.hub.lfs[sha256]
