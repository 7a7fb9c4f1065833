from dagster_project.analysis.estimate import estimate_weeks


async def test_the_dry_run_says_what_the_run_then_does_and_sends_nothing(analysis, monday, dimensions):
    for index in range(6):
        more = "and more of it " * 30
        lines = tuple(("RC"[turn % 2], f"Sentence {turn} of talk {index}, {more}") for turn in range(80))
        analysis.warehouse.add_call(lines)
    analysis.warehouse.add_call(lines)
    analysis.chunk()
    analysis.sandbox.control(behaviour={"output_tokens": 1_500})

    async def estimate(**options):
        return await estimate_weeks(
            database_url=analysis.warehouse.database_url,
            settings=analysis.settings,
            weeks=[monday],
            dimensions=dimensions,
            **options,
        )

    expected = await estimate()
    assert analysis.sandbox.requests == 0
    assert analysis.warehouse.one("select count(*) from analysis.requests") == 0
    assert (expected.calls_to_score, expected.requests) == (6, 30)
    assert {part.cache_hits for part in expected.dimensions.values()} == {1}
    assert expected.batch_requests == 6

    report = await analysis.score()

    assert report.requests == expected.requests
    assert abs(report.cost_usd - expected.cost_usd) < expected.cost_usd / 20
    assert expected.batch_cost_usd < expected.cost_usd / 2

    again = await estimate()
    assert (again.requests, again.cost_usd) == (0, 0)
    forced = await estimate(force=True)
    assert forced.requests == 30


async def test_the_dry_run_learns_how_long_answers_are(analysis, monday, dimensions):
    for index in range(25):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    analysis.sandbox.control(behaviour={"output_tokens": 2_222})
    await analysis.score(dimensions=("discovery",))
    expected = await estimate_weeks(
        database_url=analysis.warehouse.database_url,
        settings=analysis.settings,
        weeks=[monday],
        dimensions=("discovery", "objections"),
        force=True,
    )
    assert expected.dimensions["discovery"].output_tokens == 25 * 2_222
    assert expected.dimensions["objections"].output_tokens == 25 * 1_500
