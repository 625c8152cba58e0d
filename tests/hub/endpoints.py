"""The Hub's API: ROUTES says which call is answered by which method.

Source: the calls of huggingface_hub 2.4 (hf_api.py, _commit_api.py, lfs.py, file_download.py) and
huggingface.co/docs/hub/api.
"""

import re
from urllib.parse import unquote

from tests.hub.repositories import HubError
from tests.hub.uploads import Uploads

API = r"/api/datasets/(?P<repo>[^/]+/[^/]+)"
ROUTES = {  # "METHOD path" as a regular expression -> the method of Endpoints that answers it
    r"GET /api/whoami-v2": "whoami",
    r"POST /api/validate-yaml": "validate_yaml",
    r"POST /api/repos/create": "create_repo",
    r"DELETE /api/repos/delete": "delete_repo",
    rf"GET {API}(/revision/(?P<revision>[^/]+))?": "info",
    rf"GET {API}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?": "tree",
    rf"POST {API}/paths-info/(?P<revision>[^/]+)": "paths_info",
    rf"GET {API}/refs": "refs",
    rf"GET {API}/commits/(?P<revision>[^/]+)": "commits",
    rf"POST {API}/branch/(?P<branch>[^/]+)": "create_branch",
    rf"POST {API}/tag/(?P<revision>[^/]+)": "create_tag",
    rf"DELETE {API}/(?P<kind>branch|tag)/(?P<name>[^/]+)": "delete_ref",
    rf"POST {API}/preupload/(?P<branch>[^/]+)": "preupload",
    rf"POST {API}/commit/(?P<branch>[^/]+)": "commit",
    r"(GET|HEAD) /datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)": "resolve",
    r"(GET|HEAD) /cdn/(?P<sha256>\w+)/.*": "cdn",
    r"POST /datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch": "lfs_batch",
    r"PUT /lfs/(?P<sha256>\w+)(/(?P<part>\d+))?": "lfs_put",
    r"POST /lfs/(?P<sha256>\w+)/complete": "lfs_complete",
    r"POST /lfs/(?P<sha256>\w+)/verify": "lfs_verify",
}
_COMPILED = [(re.compile(pattern), name) for pattern, name in ROUTES.items()]


class Endpoints(Uploads):
    def answer(self, path: str) -> None:
        for pattern, name in _COMPILED:
            if match := pattern.fullmatch(f"{self.command} {path}"):
                getattr(self, name)(**{key: unquote(value or "") for key, value in match.groupdict().items()})
                return
        raise HubError(
            404 if self.is_authorized() else 401, f"this Hub has no {self.command} {path}", code="RepoNotFound"
        )
