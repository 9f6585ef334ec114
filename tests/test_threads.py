"""Whole tasks side by side in threads."""

import threading
from unittest import mock

import numpy as np
import pytest
import torch

from skdiffusion import FactorizedDiffusionDensity, chunks
from skdiffusion.threads import Threads

CPU = torch.device("cpu")


def test_results_come_in_order_and_at_once(with_threads):
    """Two items wait for each other: one after the other they would wait for ever."""
    barrier = threading.Barrier(2, timeout=30)

    def meet(i):
        barrier.wait()
        return i, torch.get_num_threads()

    with with_threads(2), Threads(2, CPU) as threads:
        assert threads.map(meet, [7, 8]) == [(7, 1), (8, 1)]


def threads_of_a_new_thread():
    """New threads inherit a global number, which others do not read again."""
    found = []
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    return found[0]


def test_the_number_of_threads_is_left_as_it_was(with_threads):
    with with_threads(2):
        with pytest.raises(ZeroDivisionError), Threads(2, CPU) as threads:
            threads.map(lambda i: 1 / i, [1, 0])
        assert torch.get_num_threads() == threads_of_a_new_thread() == 2


@pytest.mark.parametrize(("n_threads", "device"), [(1, "cpu"), (2, "meta")])
def test_one_thread_or_another_device_works_alone(n_threads, device, with_threads):
    with with_threads(n_threads), Threads(2, torch.device(device)) as threads:
        assert threads.map(lambda i: threading.current_thread(), [0, 1]) == (
            [threading.current_thread()] * 2
        )


def test_scores_and_samples_do_not_depend_on_chunks(chain, with_threads):
    """Catches chunks that share memory or come in another order."""
    density = FactorizedDiffusionDensity(chain.graph, max_iter=20, random_state=0)
    density.fit(chain.data)
    found = []
    for numbers in (2**15, 2**24):
        with mock.patch.object(chunks, "CHUNK_NUMBERS", numbers), with_threads(2):
            scores = density.score_samples(chain.data)
            found.append((scores, density.sample(200, random_state=0)))
    np.testing.assert_allclose(*(scores for scores, _ in found), rtol=1e-5)
    np.testing.assert_allclose(*(sample for _, sample in found), rtol=1e-5, atol=1e-6)


def test_rounding_does_not_depend_on_threads_or_other_rows(chain, with_threads):
    """Catches a chunk that several threads work on, which would add up otherwise."""
    density = FactorizedDiffusionDensity(chain.graph, max_iter=20, random_state=0)
    density.fit(chain.data)
    found = []
    for n_threads in (1, 2):
        with with_threads(n_threads):
            found.append(density.score_samples(chain.data)[:3])
            found.append(np.r_[[*map(density.score_samples, chain.data[:3, None])]][:, 0])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
