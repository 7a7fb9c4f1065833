"""Serve a simulated HubSpot account until SIGTERM or Ctrl-C; the first line on stdout is `{"url": ...}`.

It starts empty, or with the accounts, deals and contacts that the calls of a Gong folder name (`--data DIR`).
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from dlt_pipelines.gong.simulator.tenant import Tenant, TenantError
from dlt_pipelines.hubspot.simulator.server import Account, Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlt_pipelines.hubspot.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of Gong-shaped JSON")
    options = parser.parse_args(arguments)
    try:
        account = account_of(Tenant.from_folder(options.data)) if options.data else Account()
    except TenantError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    with Simulator(account).serve(port=options.port) as url:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def account_of(tenant: Tenant) -> Account:
    """The companies and deals that the calls' CRM context names, and a contact for every external e-mail address."""
    account = Account()
    contacts: dict[str, str] = {}
    for call in tenant.calls:
        objects = [item for system in call.get("context") or [] for item in system.get("objects") or []]
        named: dict[str, list[str]] = {"companies": [], "deals": []}
        for item in objects:
            kind = {"Account": "companies", "Opportunity": "deals"}.get(str(item.get("objectType")))
            object_id = str(item.get("objectId"))
            if kind is None or not object_id.isdigit():
                continue
            fields = {str(entry.get("name")).lower(): entry.get("value") for entry in item.get("fields") or []}
            name = fields.get("name")
            if kind == "companies":
                account.put(kind, object_id, name=name, industry=fields.get("industry"))
            else:
                stage, amount = fields.get("stagename", fields.get("stage")), fields.get("amount")
                account.put(kind, object_id, dealname=name, dealstage=stage, amount=amount)
            named[kind].append(object_id)
        for deal_id in named["deals"]:
            for company_id in named["companies"]:
                known = account.associations.get(("deals", "companies"), {}).get(deal_id, [])
                if company_id not in known:
                    account.associate("deals", deal_id, "companies", company_id)
        for party in call.get("parties") or []:
            address = party.get("emailAddress")
            if not address or party.get("affiliation") == "Internal" or address.lower() in contacts:
                continue
            contact_id = contacts[address.lower()] = str(1001 + len(contacts))
            first, _, last = str(party.get("name") or "").partition(" ")
            account.put("contacts", contact_id, email=address, firstname=first, lastname=last)
            for company_id in named["companies"][:1]:
                account.associate("contacts", contact_id, "companies", company_id)
            for deal_id in named["deals"]:
                account.associate("deals", deal_id, "contacts", contact_id)
    return account


if __name__ == "__main__":
    sys.exit(main())
