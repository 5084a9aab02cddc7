/* The numbers by which the kernels know activations and losses; those of `model/activations.py` and
   `training/recipes.py`, which a test compares with these. */

#ifndef ACTIVATIONS_H
#define ACTIVATIONS_H

enum activation { SIGMOID, TANH, RELU, LEAKY_RELU, IDENTITY, SOFTMAX };

enum loss { BOOK, SQUARED, CROSS_ENTROPY };

#endif
