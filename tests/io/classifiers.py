"""scikit-learn's classifiers as people put them together, for the tests of live ones and of files."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.random_projection import GaussianRandomProjection


def mlp(hidden: tuple[int, ...] = (5,), activation: str = "relu", **settings: Any) -> MLPClassifier:
    return MLPClassifier(hidden, activation=activation, max_iter=5, random_state=1, **settings)


def examples(labels: int = 3, inputs: int = 6, count: int = 60) -> tuple[Any, Any]:
    """Pixels from 0 to 16 with a label's own in each, and one pixel that is never drawn on."""
    y = np.arange(count) % labels
    x = np.random.default_rng(labels).uniform(size=(count, inputs)) * 12
    x[np.arange(count), y] += 4
    x[0] = 16
    x[:, -1] = 0
    return x, y


def quietly(estimator: Any, x: Any, y: Any) -> Any:
    """The estimator fitted, however unwillingly."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return estimator.fit(x, y)


def fitted(estimator: Any, labels: int = 3) -> Any:
    return quietly(estimator, *examples(labels))


def columns(*transformers: Any, **settings: Any) -> ColumnTransformer:
    listed = [(f"part {number}", *parts) for number, parts in enumerate(transformers)]
    return ColumnTransformer(listed, **settings)


def reads(what: str, becomes: str) -> Any:
    return pytest.mark.reads("model", what, becomes)


FOLDED = "folded into the first layer"

LINEAR = {
    "robust": RobustScaler(),
    "robust-centred": RobustScaler(with_scaling=False),
    "pca": PCA(3),
    "whitened": PCA(2, whiten=True),
    "incremental": IncrementalPCA(3),
    "svd": TruncatedSVD(3, random_state=0),
    "ica": FastICA(2, random_state=0),
    "projected": GaussianRandomProjection(3, random_state=0),
    "discriminants": LinearDiscriminantAnalysis(),
    "discriminants-eigen": LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
    "variance": VarianceThreshold(),
    "best": SelectKBest(f_classif, k=3),
    "percentile": SelectPercentile(f_classif, percentile=60),
    "from-model": SelectFromModel(LogisticRegression()),
    "eliminated": RFE(LogisticRegression(), n_features_to_select=3),
    "eliminated-cv": RFECV(LogisticRegression(), cv=2, step=3),
    "sequential": SequentialFeatureSelector(LogisticRegression(), n_features_to_select=2),
    "columns": columns((StandardScaler(), [3, 0]), (MinMaxScaler(), slice(4, 6)), remainder="passthrough"),
    "columns-dropped": columns((StandardScaler(), [1, 1, 4]), ("drop", [0]), ("passthrough", [2])),
    "columns-masked": columns((make_pipeline(MaxAbsScaler(), PCA(2)), np.arange(6) < 4), remainder=RobustScaler()),
    "columns-weighed": columns(
        (VarianceThreshold(), [5, 2]), (MinMaxScaler(), [0, 1]), transformer_weights={"part 1": 3.0}
    ),
    "union": make_union(PCA(2), StandardScaler(), "passthrough"),
    "union-weighed": FeatureUnion(
        [("a", make_pipeline(StandardScaler(), PCA(2))), ("b", "drop"), ("c", SelectKBest(k=2))],
        transformer_weights={"a": 2.0, "c": 0.5},
    ),
    "nested": make_pipeline(make_pipeline("passthrough", FunctionTransformer()), VarianceThreshold(), PCA(2)),
    "frozen": FrozenEstimator(quietly(make_pipeline(StandardScaler(), PCA(3)), *examples())),
}
"""Linear transformers of 6 pixels."""

ROWS = {
    "robust": reads("scikit-learn: `RobustScaler` and the other scalers before a classifier", FOLDED),
    "pca": reads("`PCA` (whitened too), `IncrementalPCA`, `TruncatedSVD`, `FastICA`, random projections", FOLDED),
    "variance": reads("`VarianceThreshold`, `SelectKBest`, `RFE` and other feature selection", FOLDED),
    "columns": reads(
        "a `ColumnTransformer` or `FeatureUnion` of such, with `passthrough` and `drop`",
        f"{FOLDED}, columns where they were",
    ),
    "nested": reads("pipelines in pipelines, `passthrough`, `FrozenEstimator`", "its steps, one after another"),
    "grid": reads("`GridSearchCV` and other searches", "its `best_estimator_`"),
    "logistic-cv": reads("`LogisticRegressionCV`", "one layer"),
    "discriminant": reads("`LinearDiscriminantAnalysis`, `MultinomialNB`, `ComplementNB`", "one layer"),
    "descent": reads("`SGDClassifier` of log loss, two labels", "one layer of two answers"),
}

CLASSIFIERS = {
    "grid": GridSearchCV(mlp(), {"alpha": [1e-3, 1e-2]}, cv=2),
    "grid-scored": GridSearchCV(
        make_pipeline(StandardScaler(), mlp()),
        {"mlpclassifier__alpha": [1e-3]},
        cv=StratifiedKFold(2),
        scoring="accuracy",
    ),
    "randomised": RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=2, random_state=0),
    "halving": HalvingGridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, random_state=0),
    "grid-last": make_pipeline(StandardScaler(), GridSearchCV(mlp(), {"alpha": [1e-3]}, cv=2)),
    "logistic-cv": LogisticRegressionCV(Cs=2, cv=2),
    "logistic-cv-scored": LogisticRegressionCV(Cs=2, cv=StratifiedKFold(2), scoring="accuracy"),
    "discriminant": LinearDiscriminantAnalysis(),
    "multinomial": MultinomialNB(),
    "complement": ComplementNB(),
    "frozen-classifier": FrozenEstimator(fitted(mlp())),
}
"""Classifiers of any number of labels that are not a bare MLPClassifier or LogisticRegression."""


def many() -> list[Any]:
    """All of them as parameters of a test, the transformers with a classifier behind."""
    cases = {name: make_pipeline(step, mlp((5, 4), "tanh")) for name, step in LINEAR.items()} | CLASSIFIERS
    return [
        pytest.param(case, id=name, marks=[ROWS[name]] if name in ROWS else []) for name, case in cases.items()
    ]


def descending() -> SGDClassifier:
    return SGDClassifier(loss="log_loss", random_state=0)
