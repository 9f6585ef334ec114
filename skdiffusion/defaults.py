"""Parameters that follow the table when they are not given.

With few rows the chance errors of a network weigh more than the noise of its training
steps: an average of two networks gains more than batches of twice the size at the same
cost. With many rows it is the other way round. A step for likelihood costs as much as
ten of denoising, so there are a twentieth of them.
"""

FEW_ROWS = 4000


def default_n_networks(n_rows: int, has_joint_blocks: bool) -> int:
    """2 up to 4000 rows and 1 beyond; with joint blocks, which are dear, 1."""
    return 1 if has_joint_blocks or n_rows > FEW_ROWS else 2


def default_batch_size(n_rows: int) -> int:
    """512 up to 4000 rows and 1024 beyond."""
    return 512 if n_rows <= FEW_ROWS else 1024


def default_max_iter(n_rows: int, has_joint_blocks: bool) -> int:
    """2000 up to 4000 rows and 4000 beyond; with joint blocks, which are dear, 2000.

    With 17,500 rows and 9 columns 4000 steps gained half a nat on 2000.
    """
    return 2000 if has_joint_blocks or n_rows <= FEW_ROWS else 4000


def default_max_iter_likelihood(
    max_iter: int, has_joint_blocks: bool, early_stopping: bool
) -> int:
    """A twentieth of the steps of denoising.

    None with joint blocks, which are dear, nor where no held-out rows would judge them:
    training for likelihood overfits soon.
    """
    return max_iter // 20 if early_stopping and not has_joint_blocks else 0


FOLLOW_ROWS = ("n_networks", "batch_size", "max_iter", "max_iter_likelihood")


def suited(given: dict, n_rows: int, has_joint_blocks: bool) -> dict[str, int]:
    """Values given, and where they are None those that suit the table.

    Of `given`, parameters of the estimator by name, `FOLLOW_ROWS` and `early_stopping`
    are read.
    """
    n_networks = default_n_networks(n_rows, has_joint_blocks)
    max_iter = default_max_iter(n_rows, has_joint_blocks)
    steps = max_iter if given["max_iter"] is None else given["max_iter"]
    likelihood = default_max_iter_likelihood(
        steps, has_joint_blocks, given["early_stopping"]
    )
    values = (n_networks, default_batch_size(n_rows), max_iter, likelihood)
    return {
        name: value if given[name] is None else given[name]
        for name, value in zip(FOLLOW_ROWS, values, strict=True)
    }
