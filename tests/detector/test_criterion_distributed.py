import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from support import ddp_worker

from lcageo.network_config import Preset

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo on Linux"
)


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("ddp")
    repository = Path(ddp_worker.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ddp_worker.__file__]
    processes = [
        subprocess.Popen(
            [*command, str(rank), "2", str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return torch.load(folder / "gradients.pt", weights_only=True)


@pytest.mark.parametrize("preset", Preset)
@pytest.mark.parametrize("batch", ddp_worker.SHARES)
def test_two_processes_give_the_gradients_of_one_with_the_whole_batch(of_two_processes, preset, batch):
    expected, total = ddp_worker.gradients(preset, sum(ddp_worker.SHARES[batch], ()))
    found = of_two_processes[f"{preset}, {batch}"]
    assert found.keys() == expected.keys() | {"total"}
    torch.testing.assert_close(found["total"], total)
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-6 * largest, name
