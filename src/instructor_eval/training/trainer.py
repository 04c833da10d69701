"""transformers' Trainer with our batches, our loss, and checkpoints that appear whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints

from instructor_eval.core.errors import UserError, reason
from instructor_eval.training.batches import Batches
from instructor_eval.training.loss import contrastive_loss
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.save import Provenance, dense_folders, move_whole, save

UNFINISHED = ".saving"
"""The folder of what is being written, or removed."""
_STATE = "trainer_state.json"
_OLD = "old"


class ContrastiveTrainer(Trainer):  # type: ignore[misc] # transformers has no types here
    """Trains on batches of one task.

    Args:
        model: The model.
        args: transformers' arguments.
        batches: The training batches.
        validation: Batches whose loss is computed as the arguments say, or None.
        temperature: Of the loss.
        provenance: What the model card says.
        say: Called with what goes on.
    """

    def __init__(
        self,
        model: TrainedModel,
        args: TrainingArguments,
        *,
        batches: Batches,
        validation: Batches | None,
        temperature: float,
        provenance: Provenance,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(model=model, args=args, train_dataset=batches, eval_dataset=validation)
        self.trained, self.provenance = model, provenance
        self._temperature, self._into = temperature, ""
        self.model_accepts_loss_kwargs = False  # the loss is a mean: the Trainer divides it when it accumulates
        for printing in (PrinterCallback, ProgressCallback):
            self.remove_callback(printing)
        self.add_callback(_Talk(say))

    # Batches

    def get_train_dataloader(self) -> Any:
        """Return whole batches, one a step."""
        return self._loader(self.train_dataset)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return whole batches of the validation file."""
        return self._loader(eval_dataset or self.eval_dataset)

    def _loader(self, batches: Any) -> Any:
        loader = DataLoader(
            batches,
            batch_size=1,
            collate_fn=_only,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory and self.args.device.type == "cuda",
        )
        return self.accelerator.prepare(loader)

    # Loss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a batch."""
        vectors = model(inputs["groups"], inputs["places"])
        owners = inputs["owners"]
        rows = (len(vectors) - len(owners)) // 2
        queries, positives, negatives = vectors.split([rows, rows, len(owners)])
        loss = contrastive_loss(queries, positives, negatives, owners, self._temperature)
        return (loss, vectors) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Compute a step's gradients.

        Raises:
            UserError: the loss is not a number.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise UserError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()}: training stops; {self._whole()}: go on "
                "from there with a smaller --learning_rate, or in float32"
            )
        return loss

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Return the loss of a validation batch, and nothing else."""
        with torch.no_grad():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    # Checkpoints

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            save(self.trained, Path(output_dir or self.args.output_dir), self.provenance, self.state.global_step)

    def save_final(self, step: int) -> None:
        """Save the model as it is in the output folder.

        Raises:
            UserError: it cannot be written.
        """
        if not self.args.should_save:
            return
        folder = Path(self.args.output_dir)
        try:
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            save(self.trained, folder / UNFINISHED, self.provenance, step)
            move_whole(folder / UNFINISHED, folder)
        except (OSError, SafetensorError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)[:200]
            raise UserError(f"the model cannot be saved in {folder} ({why}); {self._whole()}: make room") from e
        finally:
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)

    def _get_output_dir(self, trial: Any) -> str:
        return str(Path(self.args.output_dir, self._into))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save beside the other checkpoints, then rename: what is called checkpoint-N is whole."""
        step, folder = self.state.global_step, Path(self.args.output_dir)
        name = f"checkpoint-{step}"
        try:
            self.trained.check_finite()
            self._into = UNFINISHED
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                if (folder / name).exists():
                    (folder / name).rename(folder / UNFINISHED / _OLD)
                (folder / UNFINISHED / name).rename(folder / name)
                rotate_checkpoints(str(folder), save_total_limit=self.args.save_total_limit, use_mtime=False)
        except UserError as e:
            raise UserError(f"step {step}: {e}: training stops; {self._whole()}: use a smaller --learning_rate") from e
        except (OSError, RuntimeError, SafetensorError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)[:200]
            raise UserError(
                f"step {step}: the checkpoint cannot be saved in {folder} ({why}); {self._whole()}: make room, and go "
                "on with --resume_from_checkpoint"
            ) from e
        finally:
            self._into = ""
            if self.args.should_save:
                shutil.rmtree(folder / UNFINISHED, ignore_errors=True)

    def _whole(self) -> str:
        found = last_checkpoint(Path(self.args.output_dir))
        return f"{found.name} is whole" if found else "no checkpoint was saved yet"

    def go_back_to(self, checkpoint: Path) -> None:
        """Be as this run was when it saved a checkpoint, with nothing left to train."""
        self.state = TrainerState.load_from_json(str(checkpoint / _STATE))
        self._load_from_checkpoint(str(checkpoint))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        self.trained.load(folder, dense_folders(folder))


def is_checkpoint(folder: Path) -> bool:
    """Tell whether a folder is a checkpoint that training can go on from."""
    return (folder / _STATE).is_file()


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was saved at."""
    return int(TrainerState.load_from_json(str(checkpoint / _STATE)).global_step)


def discard(checkpoint: Path) -> None:
    """Remove a checkpoint; killed on the way, this leaves no part of it under its name."""
    aside = checkpoint.parent / UNFINISHED
    aside.mkdir(exist_ok=True)
    checkpoint.rename(aside / _OLD)
    shutil.rmtree(aside)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last whole checkpoint of a run, or None."""
    found = [
        path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal() and is_checkpoint(path)
    ]
    return max(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def _only(items: list[Any]) -> Any:
    return items[0]


class _Talk(TrainerCallback):  # type: ignore[misc] # transformers has no types here
    """Says what the Trainer logs, in one line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Say losses as they come."""
        logs = logs or {}
        if not state.is_world_process_zero:
            return
        for key, what in (("loss", "loss"), ("eval_loss", "validation loss")):
            if key in logs:
                rate = f", learning rate {logs['learning_rate']:.2e}" if "learning_rate" in logs else ""
                self._say(f"step {state.global_step:,} of {state.max_steps:,}: {what} {logs[key]:.4f}{rate}")
