from tools.refresh_constraints import beside, held, portable


def test_constraints_name_no_build_and_no_platform() -> None:
    resolved = """\
--find-links wheels
cuda-bindings==13.0
numpy==2.4.6
nvidia-cublas==13.1
torch==2.13.0+cpu
triton==3.7
"""
    assert portable(resolved) == "numpy==2.4.6\ntorch==2.13.0\n"


def test_torch_moves_by_hand_alone() -> None:
    assert held("# header\nnumpy==2.4.6\ntorch==2.13.0\ntorchaudio==1\n") == "torch==2.13.0\n"


def test_what_only_some_environment_holds_is_pinned_too() -> None:
    assert "swift" in beside().splitlines()
    assert len(set(beside().splitlines())) == len(beside().splitlines())
