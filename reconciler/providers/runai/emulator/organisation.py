"""The calls about clusters, departments, projects, workloads, templates and the caller's own rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from reconciler.providers.emulator import Answer, Call, Store
from reconciler.providers.runai.emulator.answers import Refused, counted, encode, flag, one_of, whole_number
from reconciler.providers.runai.emulator.listings import WORKLOADS, Listing, selected
from reconciler.providers.runai.emulator.store import TENANT_ID


def _cluster_metadata(text: bytes) -> bytes:
    entry = msgspec.json.decode(text)
    return encode({name: entry[name] for name in ("uuid", "tenantId", "name", "createdAt")})


class Organisation:
    """Answers what is read only: pages of *page_size* entries when the caller gives no limit."""

    def __init__(self, store: Store, *, page_size: int) -> None:
        self._store = store
        self._page_size = page_size

    def list_clusters(self, call: Call, who: str) -> Answer:
        """A bare array, not paged."""
        metadata = one_of(call.query, "verbosity", ("metadata", "full")) == "metadata"
        rows = self._store.rows("SELECT text FROM runai_unit WHERE kind = 'cluster' ORDER BY rowid")
        texts = [_cluster_metadata(text) if metadata else text for (text,) in rows]
        if call.hide:
            del texts[-call.hide :]
        return Answer(200, b"[" + b",".join(texts) + b"]")

    def read_cluster(self, call: Call, who: str) -> Answer:
        """One cluster by its id."""
        metadata = one_of(call.query, "verbosity", ("metadata", "full")) == "metadata"
        answer = self.read_unit(call, "cluster")
        return Answer(200, _cluster_metadata(answer.body)) if metadata else answer

    def read_unit(self, call: Call, kind: str) -> Answer:
        """One unit of this kind by its id."""
        unit_id = call.params["id"]
        found = self._store.row("SELECT text FROM runai_unit WHERE kind = ? AND id = ?", (kind, unit_id))
        if found is None:
            raise Refused(404, "Resource id not found.", f"{kind} {unit_id}")
        return Answer(200, found[0])

    def _page(self, call: Call, texts: Iterable[bytes], listing: Listing) -> Answer:
        query = call.query
        offset = whole_number(query, "offset", 0, 2**31 - 1) or 0
        limit = whole_number(query, "limit", 1, 500) or self._page_size
        found = selected(texts, query, listing)
        page = [text for _, text in found[offset : offset + limit]]
        if call.hide:
            del page[-call.hide :]
        more = b',"next":%d' % (offset + limit) if offset + limit < len(found) else b""
        return Answer(200, b'{"%bs":[%b]%b}' % (listing.kind.encode(), b",".join(page), more))

    def _workload_texts(self, query: Mapping[str, str]) -> list[bytes]:
        if flag(query, "deleted"):  # ours never are
            return []
        return [text for (text,) in self._store.rows("SELECT text FROM runai_workload ORDER BY seq")]

    def list_workloads(self, call: Call, who: str) -> Answer:
        """A page of workloads."""
        return self._page(call, self._workload_texts(call.query), WORKLOADS)

    def count_workloads(self, call: Call, who: str) -> Answer:
        """How many workloads the query leaves."""
        return counted(len(selected(self._workload_texts(call.query), call.query, WORKLOADS)))

    def list_templates(self, call: Call, who: str) -> Answer:
        """The older kind of template: the one that says which environment it holds."""
        rows = self._store.rows("SELECT text FROM runai_template ORDER BY seq")
        return Answer(200, b'{"entries":[' + b",".join(text for (text,) in rows) + b"]}")

    def list_access_rules(self, call: Call, who: str) -> Answer:
        """One rule, for any caller: everything, everywhere."""
        rule = {
            "id": 1,
            "subjectId": who,
            "subjectType": "service-account",
            "roleId": 1,
            "roleName": "System administrator",
            "scopeId": str(TENANT_ID),
            "scopeType": "tenant",
            "scopeName": "embedded",
            "tenantId": TENANT_ID,
        }
        offset = whole_number(call.query, "offset", 0, 2**31 - 1) or 0
        whole_number(call.query, "limit", 1, 500)
        rules = [rule][offset:]
        body = {"accessRules": {"totalRecords": 1, "displayRecords": len(rules), "accessRules": rules}}
        return Answer(200, encode(body))

    def list_units(self, call: Call, listing: Listing) -> Answer:
        """Projects or departments."""
        return self._page(call, self._unit_texts(listing), listing)

    def count_units(self, call: Call, listing: Listing) -> Answer:
        """How many of them the query leaves."""
        return counted(len(selected(self._unit_texts(listing), call.query, listing)))

    def _unit_texts(self, listing: Listing) -> list[bytes]:
        rows = self._store.rows("SELECT text FROM runai_unit WHERE kind = ? ORDER BY rowid", (listing.kind,))
        return [text for (text,) in rows]
