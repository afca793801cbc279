"""The view of models: what each is, how it did, and which versions of it are loaded."""

import pytest

import statecast
from models.artifact import seal, unseal
from service.security.caller import Role
from tests.http_port import FLAGS
from tests.model_files import sealed
from tests.server_process import serving
from tests.tenants import token_of, write_tokens

BACKTEST = {
    "mae": 0.5, "mase": 0.8, "coverage": 0.78, "msis": 3.5,
    "seasonal_naive_mae": 0.6, "seasonal_naive_mase": 1.0, "markov_chain_mae": 0.4, "markov_chain_mase": 0.64,
}  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """`scored`, in two versions with scores; `bare`, without."""
    path = tmp_path_factory.mktemp("scored")
    for name, version, backtest in (("scored", 1, {}), ("scored", 2, BACKTEST), ("bare", 1, {})):
        content, manifest = sealed(name, seed=version - 1)
        model, _ = unseal(content)
        training = manifest.training.model_copy(update={"refit": version == 2})
        told = {"backtest": backtest, "training": training, "parity_error": 2.5e-7}
        file = path / name / str(version) / "model.onnx"
        file.parent.mkdir(parents=True)
        file.write_bytes(seal(model, manifest.model_copy(update=told)))
    return path


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, *FLAGS) as running:
        yield running


def test_a_model_is_shown_beside_the_baselines(visit, server):
    """Best first, with bars as long as the scores; what only the model has stands apart."""
    seen = visit("models/scored", server=server)
    seen.wait("table[data-metric=mase]")
    rows = seen.page.locator("table[data-metric=mase] tbody tr")
    assert [row.split("\t")[0] for row in rows.all_inner_texts()] == [
        "Markov chain",
        "scored",
        "seasonal naive",
    ]
    assert [row.split("\t")[2] for row in rows.all_inner_texts()] == ["0.64", "0.8", "1"]
    widths = [float(bar.get_attribute("width")[:-1]) for bar in rows.locator("rect").all()]
    assert widths == pytest.approx([64, 80, 100])
    seen.page.get_by_role("button", name="MAE", exact=True).click()
    assert seen.wait("table[data-metric=mae] tbody tr").inner_text().split("\t")[2] == "0.4"
    assert "78.0 %" in seen.page.locator("[data-figure=coverage]").inner_text()
    assert "2.5E-7" in seen.page.locator("[data-figure=parity]").inner_text()
    assert seen.findings() == []


def test_a_manifest_is_read_in_words(visit, server):
    """Its features, states and training, and the whole as JSON where somebody wants it."""
    seen = visit("models/scored", server=server)
    facts = seen.wait(".facts").inner_text()
    assert "regression of rows to come" in facts
    assert "10 %, 50 %, 90 %" in facts
    assert "with the rows of the backtest too" in seen.page.locator(".facts").nth(1).inner_text()
    assert seen.page.get_by_role("row", name="temperature observed with each row").count() == 1
    assert "for each session" in seen.page.locator("section:has(h2:text-is('State'))").inner_text()
    seen.page.get_by_text("As JSON").click()
    assert '"horizon": 4' in seen.wait("pre.json").inner_text()


def test_a_model_without_scores_says_so(visit, server):
    """It is chosen from the list."""
    seen = visit("models", server=server)
    seen.page.get_by_role("link", name="bare version 1").click()
    assert "published without scores" in seen.wait("[data-panel=scores]").inner_text()
    seen.go("models/none")
    seen.wait(".state.error:has-text('No model none is served')")


def test_versions_come_and_go_while_a_session_lives(visit, serve, repository):
    """It stays on its version by the policy that was chosen; what the server refuses is shown."""
    server = serve(repository)
    with statecast.Client(server.address) as client:
        client.session("scored", "a").forecast([[1.0, 2.0]])
        seen = visit("models/scored", server=server)
        seen.expected.append("status of 400")
        seen.page.get_by_role("button", name="Load a version").click()
        dialog = seen.wait("dialog[open]")
        assert seen.findings() == []
        dialog.get_by_label("Version; empty for the newest").fill("9")
        dialog.get_by_label("Pin").check()
        seen.expected.append("status of 404")
        dialog.get_by_role("button", name="Load").click()
        assert "9" in seen.wait("dialog .field-error:not(:empty)").inner_text()
        dialog.get_by_label("Version; empty for the newest").fill("1")
        dialog.get_by_role("button", name="Load").click()
        row = seen.wait("tr[data-version='1']")
        assert "New sessions begin here" in row.inner_text()
        assert "Kept for its sessions\t1" in seen.page.locator("tr[data-version='2']").inner_text()
        unload(seen)
        seen.wait(".toast.error")
        client.sessions("scored").delete("a")
        unload(seen)
        seen.wait("tr[data-version='2']", state="detached")
        assert seen.page.locator("tr[data-version]").count() == 1
        moves = client.session("scored", "b")
        moves.forecast([[1.0, 2.0]])
        seen.page.get_by_role("button", name="Load a version").click()
        seen.page.locator("dialog").get_by_label("Carry").check()
        seen.page.locator("dialog").get_by_role("button", name="Load").click()
        seen.wait("tr[data-version='2']:has-text('New sessions begin here')")
        moves.forecast([[1.0, 2.0]])
        assert [each.model_version for each in client.sessions("scored").list()] == [2]


def unload(seen):
    seen.page.get_by_role("button", name="Unload version 2").click()
    seen.page.locator("dialog:has-text('Unload version 2 of scored?')").get_by_role(
        "button", name="Unload"
    ).click()


def test_versions_are_changed_by_operators(visit, serve, repository, tmp_path):
    """Nobody else is offered it, or told how many sessions there are."""
    tokens = write_tokens(tmp_path / "tokens.toml")
    server = serve(repository, "--tokens", str(tokens))
    seen = visit("models/scored", server=server)
    seen.expected.append("status of 401")
    seen.page.get_by_label("Token").fill(token_of("acme", Role.PREDICT))
    seen.page.get_by_role("button", name="Sign in").click()
    words = seen.wait("[data-panel=versions]").inner_text()
    assert "offered to callers with the role operate" in words
    assert "Sessions in memory" not in words
    assert seen.page.get_by_role("button", name="Load a version").count() == 0


def test_a_narrow_screen_shows_a_model_without_scrolling_aside(visit, server):
    """Wide tables scroll within themselves."""
    seen = visit("models/scored", server=server, viewport={"width": 390, "height": 844}, color_scheme="dark")
    seen.wait("table[data-metric=mase]")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.findings() == []
