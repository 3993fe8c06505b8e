"""The images that cells run in: their bases, their content, building them, listing them.

`bases` finds where an image starts from (`packing` makes one from this host's interpreter), `recipe` lists the steps
that it is made of (`context` has the files), `building` carries them out with the host's `pip_settings` (`host_wheel`
builds on this host what a packed base cannot), `superseded` removes what newer images took the place of, `listing`
shows and removes images. `engine` looks at the images that the Docker engine has.
"""

from bench.matrix.images.building import ImageReady, ImageRefused, prepare_images
from bench.matrix.images.context import Project
from bench.matrix.images.engine import disk_usage
from bench.matrix.images.listing import ImageRow, list_images, remove_images

__all__ = [
    "ImageReady",
    "ImageRefused",
    "ImageRow",
    "Project",
    "disk_usage",
    "list_images",
    "prepare_images",
    "remove_images",
]
