from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.hubspot.simulator.__main__ import account_of


def test_an_account_is_made_of_what_the_calls_of_a_tenant_name() -> None:
    call = {
        "metaData": {"id": "1"},
        "context": [
            {
                "system": "HubSpot",
                "objects": [
                    {"objectType": "Account", "objectId": "11", "fields": [{"name": "Name", "value": "Acme"}]},
                    {"objectType": "Opportunity", "objectId": "31", "fields": [{"name": "Amount", "value": 4166.67}]},
                    {"objectType": "Account", "objectId": "no number"},
                ],
            }
        ],
        "parties": [
            {"name": "Lee Park", "emailAddress": "lee@acme.example", "affiliation": "External"},
            {"name": "Dana Reed", "emailAddress": "dana@seller.example", "affiliation": "Internal"},
            {"name": "Nobody", "affiliation": "External"},
        ],
    }
    account = account_of(Tenant(calls=[call, call]))
    assert account.objects["companies"]["11"]["properties"]["name"] == "Acme"
    assert account.objects["deals"]["31"]["properties"]["amount"] == 4166.67
    assert [item["properties"]["email"] for item in account.objects["contacts"].values()] == ["lee@acme.example"]
    assert account.associations["deals", "companies"] == {"31": ["11"]}
    assert account.associations["deals", "contacts"] == {"31": ["1001"]}
