"""Rows as pandas data frames, for those who have pandas."""

import numpy as np


def to_frame(X: np.ndarray, column_names):
    """DataFrame of rows with named columns.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("as_frame=True needs pandas: pip install pandas.") from error
    return pd.DataFrame(X, columns=list(column_names))
