"""One step taken by several ranks together: what each quantity is over all their rows, and how it gets there.

How a quantity merges is declared here once, for R ranks with shares s of a task's rows (`rows`):

=========================== ============================================ ==================================
quantity                    merged                                       numbers sent by a rank, (R-1)/R times
=========================== ============================================ ==================================
losses                      sum of s L, in every step (`meeting`)        2 * (4 + 7 k)
Jacobian                    sum of s J, columns scattered (`scattered`)  k n, and n where no reducer follows
Jacobian, whole rows        sum of s J on all ranks (`merging`)          2 k n
Gramian                     of the merged Jacobian, never a mean of G    2 k^2
Gramian at the features     sum of (s s^T) G: samples are coordinates    2 k^2
sketches                    sum of s S with the same signs on all ranks  2 k s
gradients of one task alone sum of s g, or left to the reducer           2 n, or none
states                      equal; else by `StateTensor.merge`           (`replicas`)
which task reaches what     union (`roster`)                             2 k p bytes, p parameters
=========================== ============================================ ==================================

`wire` makes the collectives and counts them; every number that decides anything is equal on all ranks to the bit.
"""
