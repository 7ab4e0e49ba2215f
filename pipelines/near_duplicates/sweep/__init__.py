"""Clusters of near-duplicates by one sweep over all pairs, where they are too many for one memory.

What decides is `stars.py`: texts are taken in order of priority, and each joins the first
representative that it is similar to. `components.py` splits the pairs into groups that share no
text, in one task with 24 bytes a text; each group is then clustered in memory, and one that is a
single component is as large as it is. Here nothing is split by components, because the rule needs
only the order. It is handed on along arcs from the text of higher priority to the other, which are
sorted by the priority of the first, as in time-forward processing (Chiang, Goodrich, Grove,
Tamassia, Vengroff and Vitter 1995, External-memory graph algorithms, SODA). Whoever comes to a text
has met all texts above it, so it is a representative or has joined one, and one bit says which: the
state of the greedy rule takes a bit a text and the arcs stay on disk (semi-external, as in Liu, Lu,
Yang, Xiao and Wei 2015, Towards maximum independent sets on massive graphs, PVLDB 8). The result is
that of `stars.py` by construction, for it is the same rule over the same order.

| step | shuffled, bytes | commits, by | memory of a task |
|---|---|---|---|
| `CommitBlocks` | nothing | parts that go together: one entry | 24 a part |
| `FindEnds` | 12 for each text of the pairs of a block | what was asked, block | what was asked |
| `FindArcs` | 56 for each of them | sorted arcs, block | a block |
| `CommitCuts` | nothing | where runs begin: one entry | 40 for 4,096 arcs |
| `SortArcs` | 80 for each arc | sorted arcs, run | a run |
| `CommitTaken` | nothing | arcs that join two texts, run | a bit a text in pairs |
| `FindClusters` | about 96 for each text | clusters, partition of text hashes | a run |

A block is some parts with 2 million pairs and texts, or 2 million pairs of one part; a run is 2
million arcs. Runs are cut between any two arcs, by a sample of all (regular sampling, Shi and
Schaeffer 1992), so a text that is similar to a hundred million others spreads over fifty of them;
nothing is as large as a component or as the pairs of one text. Only `CommitTaken` is a single task:
it reads 24 bytes an arc, in order, and goes to random bits. Two other ways were left: components by
rounds of large-star and small-star (Kiveris et al. 2014, Connected components in MapReduce and
beyond, SoCC) shuffle all pairs in each round and end with components that are as large as they are;
rounds in which whoever has no undecided text above it decides need as many rounds as a chain of
templates of growing length has links.
"""
