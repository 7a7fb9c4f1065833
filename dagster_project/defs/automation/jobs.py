import dagster as dg

pipeline = dg.define_asset_job(
    name="pipeline",
    selection=dg.AssetSelection.all(),
    description="Everything for a range of weeks: load from Gong, cut, score with Claude, build the marts.",
)
