"""``from_pretrained`` and ``push_to_hub`` of huggingface_hub; local folders do without that package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

_MISSING = "a model of the hub needs the package huggingface_hub: pip install huggingface_hub, or give a local folder."

if TYPE_CHECKING:
    from huggingface_hub import ModelHubMixin as HubMixin
else:
    try:
        from huggingface_hub import ModelHubMixin as HubMixin
    except ImportError:
        import json

        class HubMixin:
            """Stands in for ``huggingface_hub.ModelHubMixin`` where that is not installed."""

            def __init_subclass__(cls, **card: Any) -> None:
                super().__init_subclass__()

            @classmethod
            def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Any:
                folder = Path(pretrained_model_name_or_path)
                if not folder.is_dir():
                    raise ImportError(f"{folder}: {_MISSING}")
                path = folder / "config.json"
                config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
                return cls._from_pretrained(model_id=str(folder), config=config, **options)

            def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
                raise ImportError(f"{save_directory}: {_MISSING}")

            def push_to_hub(self, repo_id: str, **options: Any) -> None:
                raise ImportError(f"{repo_id}: {_MISSING}")


def weights_file(model_id: str, names: tuple[str, ...], **options: Any) -> Path:
    """The first of these files that a local folder, or a repository of the hub, has.

    Args:
        model_id: folder or repository.
        names: files in the order of preference.
        options: of ``huggingface_hub.hf_hub_download``.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = Path(model_id)
    if folder.is_dir():
        found = next((folder / name for name in names if (folder / name).is_file()), None)
        if found is None:
            raise FileNotFoundError(f"{folder}: expected {' or '.join(names)}, found neither.")
        return found
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    unreachable: Exception | None = None
    for name in names:
        try:
            return Path(hf_hub_download(repo_id=model_id, filename=name, **options))
        except LocalEntryNotFoundError as error:
            unreachable = error
        except EntryNotFoundError:
            continue
    if unreachable is not None:
        raise FileNotFoundError(f"{model_id}: not in the local cache, and the hub cannot be reached.") from unreachable
    raise FileNotFoundError(f"{model_id}: expected {' or '.join(names)} in the repository, found neither.")
