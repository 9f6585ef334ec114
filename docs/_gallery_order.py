"""The order of the examples in the gallery."""

ORDER = (
    "plot_first_steps.py",
    "plot_compare_with_kernel_density.py",
    "plot_conditional_sampling.py",
    "plot_missing_values.py",
    "plot_markov_random_field.py",
    "plot_learn_a_graph.py",
    "plot_bounded_and_skewed_columns.py",
    "plot_outliers.py",
    "plot_check_a_density.py",
    "plot_pictures.py",
    "plot_kernel_scores.py",
    "plot_digits_as_random_field.py",
)


class FromFirstStepsOn:
    """Sort key of file names; those not listed come last."""

    def __init__(self, source_directory):
        self.source_directory = source_directory

    def __call__(self, name):
        place = ORDER.index(name) if name in ORDER else len(ORDER)
        return place, name
