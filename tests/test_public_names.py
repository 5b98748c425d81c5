import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import crosstower

FACES = {
    "crosstower": """
        Bag Batch Binary Blend BlendResult Bundle BundleError Calendar Calibration Categorical
        CodeField Column ColumnSplit Constraint Counter Cross CrosstowerError CrosstowerWarning
        Data DataError Distance Diversity Elapsed Evaluation Formula FrozenModel Funnel
        FunnelReport GivenSplit GroupSplit Head Index Join Layout LeaveLastOutSplit ListField
        Negatives Numeric PolicyReport QueryError RandomSplit Ranker Rating Recipe RecipeError
        Regression Retrieval Retriever Run RunError Schema Sequence ServeError Text TimeSplit
        Training TrainingError Utility Vector blend_run compare evaluate_funnel evaluate_policy
        evaluate_run fit load_recipe losses make_bundle metrics models nn parse_recipe
        register_column register_text_encoder remove_blend retrieval retrieval_features tune worlds
    """,
    "crosstower.losses": """
        Balance Candidates GradNormBalance PCGradBalance PointwiseObjective RetrievalStep
        StaticBalance StreamingFrequency UncertaintyBalance cosine_contrastive_loss
        cross_entropy gbce_loss mixed_log_q register_loss sampled_softmax_loss squared_error
        task_loss task_losses
    """,
    "crosstower.evaluation.metrics": """
        Difference GroupAuc GroupValues LabelledPredictions RankedLists ReliabilityCurve
        ShownItems Summary auc_difference_error auc_standard_error bootstrap_difference
        bootstrap_interval calibration_ratio catalogue_metrics difference
        expected_calibration_error group_auc list_metrics log_loss mae majority_rate
        mse ndcg_per_group normalised_entropy register_metric reliability_curve rmse
        rmse_difference_error roc_auc summarise task_metrics total_at_k_per_group
    """,
    "crosstower.models": """
        Architecture AutoInt DCNv2 DLRM DeepFM ESMM FinalMLP GDCN LogisticRegression MMoE
        MaskNet PLE PlainMLP SharedBottom TwoTower WideDeep Wukong build config_of
        model_names register_model
    """,
    "crosstower.nn": """
        AttentionPool BilinearFusion Bsarec CrossFull CrossGated CrossLowRank CrossMixture
        CrossNetwork CrossOptions DeepCrossTrunk DenseInput DotProducts EmbeddingStore
        ExtractionLayer FieldAttention FieldInput FieldNorm Gate GruPool Hstu MLP MLPTrunk
        MaskBlock MultiGateMixture NumberFields Parallel ProgressiveExtraction Stacked
        StackedWithInput Steps StreamGate TaskTowers Tower Transformer WideDeepTrunk
        WideLinear WukongLayer build_trunk by_head chained_logits deep_cross factorised_pairs
        max_pool register_sequence unit_vectors wide_side
    """,
    "crosstower.retrieval": """
        AnnIndex Bm25 Bspm CandidateSource Catalogue Ease ExactIndex GraphFilter Hits ImplicitAls
        IndexFacts IndexItems ItemIndex ItemKnn MilvusIndex PgvectorIndex Popularity
        TransitionGraph build_index histories_of item_vectors recommend register_index
        register_source user_vectors
    """,
    "crosstower.client": """
        AsyncClient Attribute BlendOverride BlendSummary Candidate Client ClientError
        Epsilon ErasedResponse Event EventsResponse ExperimentReportResponse
        ExperimentSummary ExperimentsResponse Explained Fault Health HistoryItem ItemVector
        ItemsResponse JournalLine Limits ListItem ListResponse ModelResponse Named
        PlackettLuce Problem ProblemError RankRequest RecommendRequest RequestRules
        SearchRequest Shop SimilarRequest SourceHit Stages SwapResponse Thompson
        UnexpectedResponseError UnreachableError UserResponse UsersResponse VectorsResponse
        VersionSummary VersionsSummary
    """,
    "crosstower.data.datasets.worlds": """
        DriftingFeed Session World description make world_names
    """,
}
"""The public names of each face. Changing one is a change for every user: do it here on purpose."""

SUB_FACES = {"losses", "metrics", "models", "nn", "retrieval", "worlds"}


@pytest.mark.parametrize("face", FACES)
def test_a_face_exports_the_names_it_is_meant_to(face: str) -> None:
    module = importlib.import_module(face)
    assert sorted(module.__all__) == sorted(FACES[face].split())
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        if face == "crosstower" and name in SUB_FACES:
            assert isinstance(value, ModuleType)
        else:  # a module of the same name would hide the value
            assert value.__name__ == name
            assert not isinstance(value, ModuleType)


def test_no_two_faces_export_the_same_thing() -> None:
    homes = {}
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            assert homes.setdefault(id(getattr(module, name)), face) == face, name


@pytest.mark.parametrize("face", ["crosstower", "crosstower.retrieval"])
def test_a_lazy_face_shows_checkers_what_it_exports(face: str) -> None:
    module = importlib.import_module(face)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported = [
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]
    assert sorted(map(str, imported)) == sorted(module.__all__)


@pytest.mark.parametrize("face", ["crosstower", "crosstower.retrieval"])
def test_an_unknown_name_is_an_attribute_error(face: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{face}' has no attribute 'fitt'"):
        importlib.import_module(face).__getattr__("fitt")


@pytest.mark.slow
@pytest.mark.parametrize("code", ["import crosstower", "import crosstower.cli.main"])
def test_importing_loads_neither_torch_nor_polars(code: str) -> None:
    check = f"{code}, sys; sys.exit(bool({{'torch', 'polars'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_names_of_the_schema_load_no_torch() -> None:
    check = "import crosstower as ct, sys; ct.Schema, ct.Binary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_version_is_public() -> None:
    assert "__version__" in dir(crosstower)


def test_the_page_of_public_names_is_up_to_date() -> None:
    docs = Path(__file__).parents[1] / "docs"
    spec = importlib.util.spec_from_file_location("make_api", docs / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (docs / "api.md").read_text() == module.page(), "run: python docs/make_api.py"
