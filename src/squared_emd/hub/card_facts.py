"""What a card must say of the data and the networks: who is in them, what they are not for, whose terms hold."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DATA", "NETWORKS", "DataFacts", "Licence", "NetworkFacts", "facts_of", "licence_of"]


@dataclass(frozen=True)
class Licence:
    """What the Hub is told of the licence of weights, and what people are.

    Args:
        text: a paragraph of Markdown.
        id: of the Hub's list, "other", or None where none is stated.
        name: where `id` is "other".
        link: where the terms stand, where `id` is "other".
    """

    text: str
    id: str | None = None
    name: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network.

    Args:
        what: a phrase.
        base: Hub id of the pre-trained weights, None where they are random.
        licence: Hub id of the licence of these, None where not known.
    """

    what: str
    base: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class DataFacts:
    """What is known of a data set. All text is Markdown.

    Args:
        name: as a heading has it.
        kind: a name of letters, digits and underscores, for the metadata.
        task: what the model does, as a title.
        picture: what a picture must be.
        who: who or what is in the data, and what follows from it: items.
        not_for: what the model must not be used for: items.
        split: how the rows tested on were kept apart, and how far they depend on each other.
        licence: of the data: a paragraph.
        citation: BibTeX, or "".
        link: where the data and their terms are, or "".
        hub_id: of the data set on the Hub, where it is there.
        tags: for the metadata.
        is_drawn: whether the pictures are drawings.
        is_stated: whether any of this is known.
    """

    name: str
    kind: str
    task: str
    picture: str
    who: tuple[str, ...]
    not_for: tuple[str, ...]
    split: str
    licence: str
    citation: str = ""
    link: str = ""
    hub_id: str | None = None
    tags: tuple[str, ...] = ()
    is_drawn: bool = False
    is_stated: bool = True


NETWORKS: dict[str, NetworkFacts] = {
    "small": NetworkFacts("a small pre-activation residual network for small pictures, from random weights"),
    "alxs": NetworkFacts("ALXs, the small AlexNet of Levi & Hassner (2015), from random weights"),
    "alx": NetworkFacts("ALX, AlexNet in one tower, from random weights"),
    "res": NetworkFacts("RES, a pre-activation residual network of 40 layers, from random weights"),
    "vgg_f": NetworkFacts("VGG_F, a VGG of 16 layers pre-trained on ImageNet", "timm/vgg16.tv_in1k", "bsd-3-clause"),
    "res_f": NetworkFacts(
        "RES_F, a pre-activation ResNet pre-trained on ImageNet; it stands in for the paper's",
        "timm/resnetv2_50.a1h_in1k",
        "apache-2.0",
    ),
}
"""Name in `all_results.json` -> what is known."""

_LOOKS = (
    "It tells which age group a face **looks like** in one picture, not how old a person is. Light, pose, blur, "
    "make-up, illness and the camera change the answer."
)
_GROUPS_UNEQUAL = (
    "How well it does for women and men, for skin colours, for disabled people or for any other group was **not "
    "measured**. Expect it to do worse where the data hold few such people."
)
_AGE_NOT_FOR = (
    "**Decisions about a person**: age checks for goods, places or content, identity, policing, borders, asylum, "
    "hiring, credit, insurance, care. An age group is no proof of age.",
    "**People who have not agreed to it**, and sorting, tracking or advertising by age. Take particular care with "
    "pictures of children.",
    "**Medical, legal or scientific statements** about how people age.",
)
_DRAWN_LICENCE = "The drawings are made by squared-emd (Apache-2.0) from random numbers; no picture of anybody else's."
_DRAWN_NOT_FOR = (
    "**Photographs.** It has never seen one. What it says of one means nothing, however sure it sounds.",
    "**Comparison with results on {like}**, or as a starting point for a model that people rely on.",
    "It is for trying out the code: loading, the pipelines, the ground distance, a demonstration.",
)


def _drawn(
    name: str, kind: str, task: str, picture: str, who: str, like: str, split: str, tags: tuple[str, ...]
) -> DataFacts:
    return DataFacts(
        name=name,
        kind=kind,
        task=task,
        picture=picture,
        who=(who, f"They have the file layout of {like} and say nothing about it."),
        not_for=tuple(item.format(like=like) for item in _DRAWN_NOT_FOR),
        split=split,
        licence=_DRAWN_LICENCE,
        tags=("synthetic", *tags),
        is_drawn=True,
    )


DATA: dict[str, DataFacts] = {
    "adience": DataFacts(
        name="Adience",
        kind="adience",
        task="Age groups of faces (Adience)",
        picture="A face, cut out and levelled as Adience's own files have it. It looks for no face in a photograph.",
        who=(
            "Faces out of photographs that people uploaded to online albums, unfiltered, many of them blurred, turned "
            "or half hidden (Eidinger et al. 2014). We know of no consent of those shown to this use.",
            "The eight groups leave gaps (nobody is 22 or 35), and are of unequal size: 25-32 is by far the largest, "
            "48-53 and 60- the smallest. A person between two groups is still put into one.",
            "An audit found most people in it to be lighter-skinned (Buolamwini & Gebru 2018, *Gender Shades*). "
            + _GROUPS_UNEQUAL,
            _LOOKS,
        ),
        not_for=_AGE_NOT_FOR,
        split="The five folds share no person. A person has many pictures in a fold.",
        licence="The terms are those of its authors' page; the photographs belong to those who took them. We know of "
        "no licence that covers them, so take them as given for research alone.",
        citation="""@article{eidinger2014age,
  title={Age and Gender Estimation of Unfiltered Faces},
  author={Eidinger, Eran and Enbar, Roee and Hassner, Tal},
  journal={IEEE Transactions on Information Forensics and Security},
  year={2014}
}""",
        link="https://talhassner.github.io/home/projects/Adience/Adience-data.html",
        tags=("age-estimation",),
    ),
    "images_of_groups": DataFacts(
        name="Images of Groups",
        kind="images_of_groups",
        task="Age groups of faces (Images of Groups)",
        picture="A face, cut out by its eyes (`squared_emd.data.face_crops`). It looks for no face in a photograph.",
        who=(
            "Faces of people in group, wedding and family portraits, found on Flickr by search words (Gallagher & Chen "
            "2009): people who posed for such pictures before 2009. We know of no consent of those shown to this "
            "use.",
            "The age groups are what the authors saw in the pictures; nobody's true age is known. Many faces are of "
            "low resolution, and are enlarged.",
            _GROUPS_UNEQUAL,
            _LOOKS,
        ),
        not_for=_AGE_NOT_FOR,
        split="The published split. Faces out of one picture share its light and its camera.",
        licence="Its authors give it for **non-commercial research purposes only**.",
        citation="""@inproceedings{gallagher2009understanding,
  title={Understanding Images of Groups of People},
  author={Gallagher, Andrew C. and Chen, Tsuhan},
  booktitle={CVPR},
  year={2009}
}""",
        link="http://chenlab.ece.cornell.edu/people/Andy/ImagesOfGroups.html",
        tags=("age-estimation",),
    ),
    "aadb": DataFacts(
        name="AADB",
        kind="aadb",
        task="Aesthetic scores of photographs (AADB)",
        picture="A whole photograph; only its central square is looked at.",
        who=(
            "Photographs, each scored by a few anonymous raters (Kong et al. 2016). A score is what these few liked at "
            "that time; people of other places, ages and trades were not asked, and the raters disagree.",
            "The score is cut into bins of about equal numbers of training pictures, and a bin stands for its mean "
            "score: finer differences mean nothing.",
            "Some photographs show people. Whether faces, bodies or skin colours move the score was **not measured**.",
        ),
        not_for=(
            "**Judging people.** It is no measure of anybody's beauty, attractiveness or worth, and pictures of people "
            "must not be ranked by it.",
            "**Deciding alone** what is shown, hidden, bought or paid for, or who is hired as a photographer.",
            "**Art, science, medicine, evidence**: a picture may be important and score low.",
        ),
        split="The published test list.",
        licence="We know of no licence that its authors state; the photographs belong to those who took them. Take "
        "them as given for research alone.",
        citation="""@inproceedings{kong2016photo,
  title={Photo Aesthetics Ranking Network with Attributes and Content Adaptation},
  author={Kong, Shu and Shen, Xiaohui and Lin, Zhe and Mech, Radomir and Fowlkes, Charless},
  booktitle={ECCV},
  year={2016}
}""",
        link="https://github.com/aimerykong/deepImageAestheticsAnalysis",
        tags=("image-aesthetics",),
    ),
    "imagenet": DataFacts(
        name="ImageNet ILSVRC 2012",
        kind="imagenet",
        task="ImageNet classes",
        picture="A photograph of one thing; only its central square is looked at.",
        who=(
            "Photographs found on the web, each with one of the names that were searched for. Many show people who "
            "were not asked. Pictures of a few rich countries are in the majority (Shankar et al. 2017).",
        ),
        not_for=(
            "**Decisions about a person**, and classes that describe people.",
            "**Where a wrong name does harm** and nobody looks: safety, medicine, food.",
        ),
        split="The published validation pictures.",
        licence="ImageNet's terms of access: **non-commercial research and educational purposes only**.",
        citation="""@article{russakovsky2015imagenet,
  title={ImageNet Large Scale Visual Recognition Challenge},
  author={Russakovsky, Olga and Deng, Jia and Su, Hao and others},
  journal={International Journal of Computer Vision},
  year={2015}
}""",
        link="https://www.image-net.org",
        hub_id="ILSVRC/imagenet-1k",
    ),
    "drawn faces": _drawn(
        "Drawn faces",
        "drawn_faces",
        "Age groups of drawn faces",
        "A drawn face (`squared_emd.data.synthetic.drawn_faces` draws more of them).",
        "Nobody. The faces are drawn by a program (`squared_emd.data.synthetic`) from random numbers. Each drawn "
        "person looks older or younger than their group by chance, so that the groups overlap and no network gets all "
        "of them right.",
        "Adience",
        "No drawn person is on both sides. One has several pictures, which are alike.",
        ("age-estimation",),
    ),
    "drawn groups": _drawn(
        "Drawn groups",
        "drawn_groups",
        "Age groups of drawn people",
        "The face of a drawn person (`squared_emd.data.synthetic.drawn_groups` draws more of them).",
        "Nobody. The people are drawn by a program (`squared_emd.data.synthetic`) from random numbers, and look "
        "older or younger than their group by chance: no network gets all of them right.",
        "Images of Groups",
        "No drawn picture is on both sides.",
        ("age-estimation",),
    ),
    "drawn compositions": _drawn(
        "Drawn compositions",
        "drawn_compositions",
        "Scores of drawn compositions",
        "A drawn composition (`squared_emd.data.synthetic.drawn_compositions` draws more of them).",
        "Nobody. Landscapes drawn by a program (`squared_emd.data.synthetic`), scored by a written rule and "
        "made-up raters. The rule is no taste.",
        "AADB",
        "",
        ("image-aesthetics",),
    ),
    "drawn shapes": _drawn(
        "Drawn shapes",
        "drawn_shapes",
        "Drawn shapes",
        "A drawn shape (`squared_emd.data.synthetic.drawn_shapes` draws more of them).",
        "Nobody. Shapes and textures drawn by a program (`squared_emd.data.synthetic`) from random numbers.",
        "ImageNet",
        "",
        (),
    ),
    "own data": DataFacts(
        name="The user's own data",
        kind="own_data",
        task="Classes of pictures",
        picture="Not stated: such as it was trained on.",
        who=(
            "**Not stated.** Whoever publishes this model must say here where the pictures are from, who or what is in "
            "them, who is missing, and who chose the labels.",
        ),
        not_for=("**Not stated.** Until it is, do not use it for decisions about people.",),
        split="",
        licence="Not stated. Whoever publishes this model must say under which terms the data were used.",
        is_stated=False,
    ),
}
"""Key of a table, or what its stand-in is called in `all_results.json` -> what is known."""


def facts_of(table: str, data: str) -> DataFacts:
    """What is known of the data of a run.

    Args:
        table: the run's table: `adience`, `images_of_groups`, `aadb`, `imagenet` or `own_data`.
        data: what its pictures are: "drawn faces".

    Returns:
        The facts; where nothing is known those of a user's own data.

    >>> facts_of("adience", "Adience files").name, facts_of("own_data", "drawn faces").name
    ('Adience', 'Drawn faces')
    """
    return DATA.get(data) or DATA.get(table) or DATA["own data"]


def licence_of(facts: DataFacts, network: NetworkFacts, given: str | None = None) -> Licence:
    """The licence of weights.

    Args:
        facts: of the data they were trained on.
        network: what they were trained from.
        given: the Hub id of a licence that the user states.

    Returns:
        Drawn faces: that of the network, Apache-2.0 where it was random. Data for research: "other", with the data's
        page. Own data: none.

    >>> licence_of(DATA["drawn faces"], NETWORKS["small"]).id, licence_of(DATA["adience"], NETWORKS["small"]).name
    ('apache-2.0', 'adience-terms')
    """
    base = ""
    if network.base:
        terms = f"under `{network.licence}`" if network.licence else "under terms that this card does not know"
        base = f" The network they started from, [{network.base}](https://huggingface.co/{network.base}), is {terms}."
        if network in NETWORKS.values():
            base += " It was itself trained on ImageNet, whose terms are non-commercial research and education."
    if given is not None:
        return Licence(f"`{given}`, as stated by whoever publishes them.{base}", given)
    if facts.is_drawn and (network.licence or (network in NETWORKS.values() and not network.base)):
        return Licence(f"`{network.licence or 'apache-2.0'}`.{base}", network.licence or "apache-2.0")
    if facts.is_drawn or not facts.is_stated:
        return Licence(f"None stated: whoever publishes them must choose one that the data allow.{base}")
    text = (
        f"no licence of their own. They were learned from [these data]({facts.link}) and go no further than the data's "
        f"terms allow: for research, not for trade.{base}"
    )
    return Licence(text, "other", f"{facts.kind.replace('_', '-')}-terms", facts.link)
