"""scikit-learn's callbacks (1.9 and later), where there are any."""

from collections.abc import Callable

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Stands in for that of scikit-learn 1.9: older releases know no callbacks."""

    def with_callbacks(method: Callable) -> Callable:
        """Leave a method as it is."""
        return method


class FitTasks:
    """The tasks of one fit, as callbacks see them.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    n_tasks : int
        Largest number of tasks to come.
    """

    def __init__(self, estimator, n_tasks: int):
        self.estimator, self.context = estimator, None
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_tasks)
            self.context.call_on_fit_task_begin(estimator=estimator)

    def step(self, **metadata) -> bool:
        """Begin and end one task; return whether a callback asks to stop."""
        if self.context is None:
            return False
        task = self.context.subcontext(task_name="check")
        task.call_on_fit_task_begin(estimator=self.estimator)
        return task.call_on_fit_task_end(estimator=self.estimator, metadata=metadata)

    def end(self) -> None:
        """The fit is done."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator)
