"""What a dataset may be used for, and if it may not, why and what helps."""

from dataclasses import dataclass

from apps.datasets.models import Dataset, DatasetQuerySet, Purpose, State

TRAINING, EVALUATION = "training", "evaluation"
# Each use with the purposes that serve it; the first is the one to choose when a dataset has another.
PURPOSES: dict[str, tuple[Purpose, ...]] = {
    TRAINING: (Purpose.TRAINING,),
    EVALUATION: (Purpose.QUESTIONS, Purpose.MESSAGES),
}
# An evaluation tells which rows it cannot ask or score, and goes on; training would learn from them.
SPOILT_BY_MISFITS = (TRAINING,)


@dataclass(frozen=True)
class Use:
    """Whether a dataset serves a use: ``why`` not, and the ``way_out``; both are empty when it does."""

    name: str
    why: str = ""
    way_out: str = ""

    @property
    def is_fit(self) -> bool:
        """Whether the dataset may be used so."""
        return not self.why

    @property
    def words(self) -> str:
        """The use, or that it is none."""
        return f"{'For' if self.is_fit else 'Not for'} {self.name}"


def all_of(dataset: Dataset) -> list[Use]:
    """Return how a dataset stands to every use; those it serves come first."""
    return sorted((of(dataset, name) for name in PURPOSES), key=lambda use: not use.is_fit)


def of(dataset: Dataset, name: str) -> Use:
    """Return whether a dataset serves this use."""
    purposes = PURPOSES[name]
    if dataset.purpose not in purposes:
        wanted = " or ".join(purpose.label for purpose in purposes)
        why = f"it is for {dataset.get_purpose_display()}, not for {wanted}"
        return Use(name, why, f"Export it and make a new dataset for {purposes[0].label} of the file.")
    if why := not_here(dataset):
        return Use(name, why, "Its page tells how far the job is." if dataset.state == State.LOADING else "")
    if not dataset.row_count:
        return Use(name, "it has no rows", "Add some.")
    if name in SPOILT_BY_MISFITS and (why := misfit(dataset)):
        return Use(name, why, "Mend or delete the rows that the schema names.")
    return Use(name)


def not_here(dataset: Dataset) -> str:
    """Return why the rows are not to be had, or ""."""
    if dataset.state == State.LOADING:
        return "its rows are still being loaded"
    return "" if dataset.state == State.READY else "its rows could not be loaded"


def misfit(dataset: Dataset) -> str:
    """Return that rows do not fit the purpose, or ""."""
    return "its rows do not fit its purpose" if dataset.warning else ""


def refusal_of_rows(dataset: Dataset) -> str:
    """Return why no row made for the purpose should be added, or ""."""
    return not_here(dataset) or misfit(dataset)


def fit_for(found: DatasetQuerySet, name: str) -> DatasetQuerySet:
    """Return those of the datasets that serve this use."""
    fit = found.filter(purpose__in=PURPOSES[name], state=State.READY, row_count__gt=0)
    return fit.filter(warning="") if name in SPOILT_BY_MISFITS else fit
