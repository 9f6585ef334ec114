"""Whole tasks side by side in threads, each with one thread of torch.

The arrays of these networks are so small that sharing the work on one of them among
threads gains nothing, and on a busy machine threads that wait for each other starve: a
single row once took 30 seconds to score. Two threads that each take their own arrays take
half the time of one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch


class Threads:
    """A context in which `map` takes as many items at once as torch has threads.

    Results do not depend on the number of threads.

    Parameters
    ----------
    n_items : int
        Largest number of items.
    device : torch.device
        Where the work is done; elsewhere than on the CPU items come one by one.
    """

    def __init__(self, n_items: int, device: torch.device):
        self.n_available = torch.get_num_threads()
        self.n = min(n_items, self.n_available)
        self.is_alone = device.type != "cpu" or self.n_available == 1
        self.pool = None

    def __enter__(self) -> "Threads":
        if not self.is_alone:
            self.pool = ThreadPoolExecutor(
                self.n,
                thread_name_prefix="skdiffusion",
                initializer=torch.set_num_threads,
                initargs=(1,),
            )
        return self

    def __exit__(self, *exception) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            # what the threads set is partly global
            torch.set_num_threads(self.n_available)

    def map(self, function: Callable, items: Sequence) -> list:
        """Results of a function at every item, in order."""
        if self.pool is None:
            return [function(item) for item in items]
        return list(self.pool.map(function, items))
