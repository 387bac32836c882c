// Transfers between material points and grid nodes, the update of the nodes, and the deformation of the points: what
// transfer.py, nodes.py and the materials compute, in one pass over the points each.
//
// Points are visited in the order of the grid plane they start in. Planes are grouped into slabs of fixed width, and a
// point writes to at most two planes beyond its own: even slabs are scattered in parallel, then odd ones. The sums are
// the same to the last bit for any number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

constexpr int SLAB = 4;

// Of a node: d components of momentum or velocity, the mass at d, and in 2D one that stays zero.
constexpr int CHANNELS = 4;

template <int D> struct Grid {
    int64_t shape[D];
    double spacing, inverse;
    double origin[D];

    int64_t size() const {
        int64_t n = 1;
        for (int a = 0; a < D; ++a) n *= shape[a];
        return n;
    }
};

template <int D> Grid<D> read_grid(const int64_t* shape, const double* geometry) {
    Grid<D> grid;
    grid.spacing = geometry[0];
    grid.inverse = 1 / geometry[0];
    for (int a = 0; a < D; ++a) {
        grid.shape[a] = shape[a];
        grid.origin[a] = geometry[1 + a];
    }
    return grid;
}

// A few points at a time: the vector units work on the weights of all of them at once.
constexpr int BLOCK = 32;

// Neighbours in this order often share nodes, and a sum that has just been stored is slow to load again: points are
// scattered from so many places of a block in turns.
constexpr int STREAMS = 4;

// The first node of each point's support, the weights, and the distance from that node in cells.
template <typename T, int D> struct Around {
    int32_t base[D][BLOCK];
    T position[D][BLOCK], along[D][BLOCK], weight[D][3][BLOCK];

    Around(const T* x, const int32_t* order, int count, const Grid<D>& grid) {
        for (int a = 0; a < D; ++a) {
            const T origin = T(grid.origin[a]), inverse = T(grid.inverse), last = T(grid.shape[a] - 3);
            for (int l = 0; l < BLOCK; ++l) position[a][l] = x[order[l < count ? l : 0] * int64_t(D) + a];
            for (int l = 0; l < BLOCK; ++l) {
                const T scaled = (position[a][l] - origin) * inverse;
                T first = std::floor(scaled - T(0.5));
                first = first >= 0 ? first : T(0);  // NaN too: the caller is told, and nothing is written out of bounds
                first = first <= last ? first : last;
                const T f = scaled - first;
                base[a][l] = int32_t(first);
                along[a][l] = f;
                weight[a][0][l] = T(0.5) * (T(1.5) - f) * (T(1.5) - f);
                weight[a][1][l] = T(0.75) - (f - 1) * (f - 1);
                weight[a][2][l] = T(0.5) * (f - T(0.5)) * (f - T(0.5));
            }
        }
    }

    // Where the row of three nodes begins that is i and j steps along the first axes.
    int64_t row(int l, int i, int j, const Grid<D>& grid) const {
        if constexpr (D == 2) return ((base[0][l] + i) * grid.shape[1] + base[1][l]) * CHANNELS;
        else return (((base[0][l] + i) * grid.shape[1] + base[1][l] + j) * grid.shape[2] + base[2][l]) * CHANNELS;
    }
};

template <typename T, int D> int64_t plane_of(const T* x, const Grid<D>& grid) {
    T first = std::floor((x[0] - T(grid.origin[0])) * T(grid.inverse) - T(0.5));
    const T last = T(grid.shape[0] - 3);
    first = first >= 0 ? first : T(0);
    return int64_t(first <= last ? first : last);
}

// Counting sort by sample and plane; begins has batch * planes + 1 entries.
template <typename T, int D>
void sort_points(const T* x, int64_t batch, int64_t count, const Grid<D>& grid, int32_t* order, int64_t* begins) {
    const int64_t planes = grid.shape[0];
    std::memset(begins, 0, sizeof(int64_t) * (batch * planes + 1));
    for (int64_t b = 0; b < batch; ++b)
        for (int64_t p = 0; p < count; ++p) ++begins[1 + b * planes + plane_of<T, D>(x + (b * count + p) * D, grid)];
    for (int64_t k = 0; k < batch * planes; ++k) begins[k + 1] += begins[k];
    for (int64_t b = 0; b < batch; ++b)
        for (int64_t p = 0; p < count; ++p)
            order[begins[b * planes + plane_of<T, D>(x + (b * count + p) * D, grid)]++] = int32_t(p);
    for (int64_t k = batch * planes; k > 0; --k) begins[k] = begins[k - 1];
    begins[0] = 0;
}

// Values of a number per point that may be shared: strides of 0.
template <typename T> struct Shared {
    const T* data;
    int64_t sample, point;

    T operator()(int64_t b, int64_t p) const { return data[b * sample + p * point]; }
};

template <typename T, int D> struct Cloud {
    const T *x, *v, *gradient, *stress;
    Shared<T> mass, volume;
    const T* dt;
    int64_t count;
};

// The three nodes of a support that follow each other along the last axis: twelve numbers, as vectors of eight and four.
template <typename T> struct Row {
    typedef T Eight __attribute__((vector_size(8 * sizeof(T))));
    typedef T Four __attribute__((vector_size(4 * sizeof(T))));
    Eight first;
    Four last;

    static Row load(const T* at) {
        Row row;
        std::memcpy(&row.first, at, sizeof(Eight));
        std::memcpy(&row.last, at + 8, sizeof(Four));
        return row;
    }
    void store(T* at) const {
        std::memcpy(at, &first, sizeof(Eight));
        std::memcpy(at + 8, &last, sizeof(Four));
    }
    static Row of(Four a, Four b, Four c) {
        return {__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7), c};
    }
    Four node(int k) const {
        if (k == 0) return __builtin_shufflevector(first, first, 0, 1, 2, 3);
        if (k == 1) return __builtin_shufflevector(first, first, 4, 5, 6, 7);
        return last;
    }
    void add(T factor, const Row& other) {
        first += factor * other.first;
        last += factor * other.last;
    }
};

// What a node at the first of a point's support gets per weight, and how that changes from node to node along each axis.
template <typename T, int D> struct Shares {
    T start[BLOCK][CHANNELS], slope[D][BLOCK][CHANNELS];

    Shares(const Cloud<T, D>& cloud, int64_t b, const int32_t* order, int count, const Around<T, D>& around,
           const Grid<D>& grid) {
        const T spacing = T(grid.spacing), scale = cloud.dt[b] * T(4) * T(grid.inverse) * T(grid.inverse);
        int32_t point[BLOCK];
        T mass[BLOCK], push[BLOCK];
        for (int l = 0; l < BLOCK; ++l) {
            point[l] = order[l < count ? l : 0];
            mass[l] = cloud.mass(b, point[l]);
            push[l] = scale * cloud.volume(b, point[l]);
        }
        const T* v = cloud.v + b * cloud.count * D;
        const T* gradient = cloud.gradient + b * cloud.count * D * D;
        const T* stress = cloud.stress + b * cloud.count * D * D;
        for (int c = D; c < CHANNELS; ++c)
            for (int l = 0; l < BLOCK; ++l) {
                start[l][c] = c == D ? mass[l] : T(0);
                for (int j = 0; j < D; ++j) slope[j][l][c] = 0;
            }
        for (int i = 0; i < D; ++i)
            for (int l = 0; l < BLOCK; ++l) {
                T momentum = mass[l] * v[point[l] * D + i];
                for (int j = 0; j < D; ++j) {
                    const int64_t at = (point[l] * D + i) * int64_t(D) + j;
                    const T affine = (mass[l] * gradient[at] - push[l] * stress[at]) * spacing;
                    slope[j][l][i] = affine;
                    momentum -= affine * around.along[j][l];
                }
                start[l][i] = momentum;
            }
    }
};

template <typename T, int D>
inline void scatter_point(const Shares<T, D>& shares, const Around<T, D>& around, int l, const Grid<D>& grid, T* nodes) {
    typename Row<T>::Four start, slope[D];
    std::memcpy(&start, shares.start[l], sizeof start);
    for (int a = 0; a < D; ++a) std::memcpy(&slope[a], shares.slope[a][l], sizeof start);
    // Along the last axis everything is weighted at once; a node's share is then linear in the other offsets.
    const auto& w = around.weight[D - 1];
    const Row<T> own = Row<T>::of(w[0][l] * start, w[1][l] * (start + slope[D - 1]), w[2][l] * (start + 2 * slope[D - 1]));
    Row<T> change[D - 1];
    for (int a = 0; a < D - 1; ++a) change[a] = Row<T>::of(w[0][l] * slope[a], w[1][l] * slope[a], w[2][l] * slope[a]);
    for (int i = 0; i < 3; ++i) {
        Row<T> here = own;
        here.add(T(i), change[0]);
        for (int j = 0; j < (D == 2 ? 1 : 3); ++j) {
            T* at = nodes + around.row(l, i, j, grid);
            Row<T> row = Row<T>::load(at);
            if constexpr (D == 2) row.add(around.weight[0][i][l], here);
            else {
                row.add(around.weight[0][i][l] * around.weight[1][j][l], here);
                here.add(T(1), change[1]);
            }
            row.store(at);
        }
    }
}

template <typename T, int D>
void scatter(const Cloud<T, D>& cloud, int64_t batch, const Grid<D>& grid, const int32_t* order, const int64_t* begins,
             T* nodes, int threads) {
    const int64_t planes = grid.shape[0], slabs = (planes + SLAB - 1) / SLAB, each = grid.size() * CHANNELS;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t k = 0; k < batch * planes; ++k) std::memset(nodes + k * (each / planes), 0, sizeof(T) * (each / planes));
    for (int64_t parity = 0; parity < 2; ++parity) {
        const int64_t half = (slabs + 1 - parity) / 2;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (int64_t k = 0; k < batch * half; ++k) {
            const int64_t b = k / half, slab = 2 * (k % half) + parity;
            const int64_t first = b * planes + slab * SLAB, last = b * planes + std::min((slab + 1) * int64_t(SLAB), planes);
            for (int64_t n = begins[first]; n < begins[last]; n += BLOCK) {
                const int some = int(std::min(int64_t(BLOCK), begins[last] - n));
                const Around<T, D> around(cloud.x + b * cloud.count * D, order + n, some, grid);
                const Shares<T, D> shares(cloud, b, order + n, some, around, grid);
                for (int k = 0; k < BLOCK; ++k) {
                    const int l = (k % STREAMS) * (BLOCK / STREAMS) + k / STREAMS;
                    if (l < some) scatter_point<T, D>(shares, around, l, grid, nodes + b * each);
                }
            }
        }
    }
}

// What a wall does: whether there is one, Coulomb's coefficient, whether bodies may leave it.
struct Wall {
    bool present;
    double friction;
    bool separating;
};

template <typename T, int D> inline void touch(T* v, int axis, T sign, const Wall& wall) {
    const T along = sign * v[axis];
    if (wall.separating && !(along < 0)) return;
    T factor = 1;
    if (std::isinf(wall.friction)) factor = 0;
    else if (wall.friction > 0) {
        T square = 0;
        for (int a = 0; a < D; ++a) square += a == axis ? T(0) : v[a] * v[a];
        const T speed = square > 0 ? std::sqrt(square) : T(1);
        factor = std::max(T(0), 1 + T(wall.friction) * along / speed);
    }
    for (int a = 0; a < D; ++a) v[a] = a == axis ? T(0) : v[a] * factor;
}

template <typename T, int D>
void update_nodes(T* nodes, int64_t batch, const Grid<D>& grid, const T* kick, T floor, const Wall* walls, int64_t thickness,
                  int threads) {
    const int64_t planes = grid.shape[0], plane = grid.size() / planes;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < batch * planes; ++row) {
        const int64_t b = row / planes;
        T* node = nodes + row * plane * CHANNELS;
        int64_t index[D] = {};
        index[0] = row % planes;
        for (int64_t k = 0; k < plane; ++k, node += CHANNELS) {
            const T mass = node[D];
            if (mass > 0) {
                if constexpr (D == 2) index[1] = k;
                else {
                    index[1] = k / grid.shape[2];
                    index[2] = k % grid.shape[2];
                }
                const T share = 1 / (mass + floor);
                for (int a = 0; a < D; ++a) node[a] = node[a] * share + kick[b * D + a];
                for (int a = 0; a < D; ++a) {
                    if (index[a] < thickness && walls[2 * a].present) touch<T, D>(node, a, T(1), walls[2 * a]);
                    if (index[a] > grid.shape[a] - thickness && walls[2 * a + 1].present)
                        touch<T, D>(node, a, T(-1), walls[2 * a + 1]);
                }
            }
        }
    }
}

template <typename T, int D>
inline void gather_point(const Around<T, D>& around, int l, const T* nodes, const Grid<D>& grid, T* velocity, T* gradient) {
    Row<T> total{}, moment[D - 1] = {};  // weighted along all axes but the last
    for (int i = 0; i < 3; ++i) {
        const T w = around.weight[0][i][l], away = i - around.along[0][l];
        Row<T> sum{};
        if constexpr (D == 2) sum = Row<T>::load(nodes + around.row(l, i, 0, grid));
        else
            for (int j = 0; j < 3; ++j) {
                const Row<T> row = Row<T>::load(nodes + around.row(l, i, j, grid));
                sum.add(around.weight[1][j][l], row);
                moment[1].add(w * around.weight[1][j][l] * (j - around.along[1][l]), row);
            }
        total.add(w, sum);
        moment[0].add(w * away, sum);
    }
    const T w[3] = {around.weight[D - 1][0][l], around.weight[D - 1][1][l], around.weight[D - 1][2][l]};
    const T away = -around.along[D - 1][l];
    const auto first = w[0] * total.node(0), second = w[1] * total.node(1), third = w[2] * total.node(2);
    typename Row<T>::Four columns[D];
    for (int a = 0; a < D - 1; ++a)
        columns[a] = w[0] * moment[a].node(0) + w[1] * moment[a].node(1) + w[2] * moment[a].node(2);
    columns[D - 1] = away * first + (away + 1) * second + (away + 2) * third;
    const auto sum = first + second + third;
    const T scale = T(4) * T(grid.inverse);
    for (int i = 0; i < D; ++i) {
        velocity[i] = sum[i];
        for (int j = 0; j < D; ++j) gradient[i * D + j] = scale * columns[j][i];
    }
}

// Where points are kept, if they are.
template <int D> struct Bounds {
    bool confined;
    double keep[D][2];
};

template <typename T, int D>
void gather(const T* x, const T* nodes, int64_t batch, int64_t count, const Grid<D>& grid, const T* dt, const int32_t* order,
            const Bounds<D>& bounds, T* moved, T* velocity, T* gradient, T* fastest, int64_t* lost, int threads) {
    const int64_t each = grid.size() * CHANNELS;
    for (int64_t b = 0; b < batch; ++b) {
        T square = 0;
        int64_t outside = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : square) reduction(+ : outside)
        for (int64_t n = 0; n < count; n += BLOCK) {
            const int some = int(std::min(int64_t(BLOCK), count - n));
            const int32_t* own = order + b * count + n;
            const Around<T, D> around(x + b * count * D, own, some, grid);
            T moving[D][BLOCK] = {}, speed[BLOCK] = {}, inside[BLOCK];
            for (int l = 0; l < some; ++l) {
                const int64_t q = b * count + own[l];
                gather_point<T, D>(around, l, nodes + b * each, grid, velocity + q * D, gradient + q * D * D);
                for (int a = 0; a < D; ++a) moving[a][l] = velocity[q * D + a];
            }
            for (int l = 0; l < BLOCK; ++l) inside[l] = 1;
            for (int a = 0; a < D; ++a) {
                const T origin = T(grid.origin[a]), inverse = T(grid.inverse), step = dt[b];
                const T low = T(0.5), high = T(grid.shape[a]) - T(1.5);
                const T least = bounds.confined ? T(bounds.keep[a][0]) : -std::numeric_limits<T>::infinity();
                const T most = bounds.confined ? T(bounds.keep[a][1]) : std::numeric_limits<T>::infinity();
                for (int l = 0; l < BLOCK; ++l) {
                    const T v = moving[a][l];
                    T to = around.position[a][l] + step * v;
                    to = to < least ? least : to;
                    to = to > most ? most : to;
                    const T scaled = (to - origin) * inverse;
                    inside[l] = scaled >= low && scaled < high ? inside[l] : T(0);
                    speed[l] += v * v;
                    moving[a][l] = to;
                }
            }
            for (int l = 0; l < some; ++l) {
                for (int a = 0; a < D; ++a) moved[(b * count + own[l]) * D + a] = moving[a][l];
                square = std::max(square, speed[l]);
                outside += inside[l] > 0 ? 0 : 1;
            }
        }
        fastest[b] = std::sqrt(square);
        *lost += outside;
    }
}

}  // namespace

#define POINTS(T, D, name)                                                                                                 \
    extern "C" void sort_##name(const T* x, int64_t batch, int64_t count, const int64_t* shape, const double* geometry,    \
                                int32_t* order, int64_t* begins) {                                                         \
        sort_points<T, D>(x, batch, count, read_grid<D>(shape, geometry), order, begins);                                  \
    }                                                                                                                      \
    extern "C" void scatter_##name(const T* x, const T* v, const T* gradient, const T* stress, const T* mass,              \
                                   const int64_t* mass_strides, const T* volume, const int64_t* volume_strides,            \
                                   const T* dt, int64_t batch, int64_t count, const int64_t* shape,                        \
                                   const double* geometry, const int32_t* order, const int64_t* begins, T* nodes,          \
                                   int threads) {                                                                          \
        const Cloud<T, D> cloud{x,  v,     gradient, stress, {mass, mass_strides[0], mass_strides[1]},                     \
                                {volume, volume_strides[0], volume_strides[1]}, dt, count};                                \
        scatter<T, D>(cloud, batch, read_grid<D>(shape, geometry), order, begins, nodes, threads);                         \
    }                                                                                                                      \
    extern "C" void nodes_##name(T* nodes, int64_t batch, const int64_t* shape, const double* geometry, const T* kick,     \
                                 double floor, const int64_t* kinds, const double* friction, int64_t thickness,            \
                                 int threads) {                                                                            \
        Wall walls[2 * D];                                                                                                 \
        for (int k = 0; k < 2 * D; ++k) walls[k] = {kinds[k] != 0, friction[k], kinds[k] == 2};                            \
        update_nodes<T, D>(nodes, batch, read_grid<D>(shape, geometry), kick, T(floor), walls, thickness, threads);        \
    }                                                                                                                      \
    extern "C" void gather_##name(const T* x, const T* nodes, int64_t batch, int64_t count, const int64_t* shape,          \
                                  const double* geometry, const T* dt, const int32_t* order, double margin, T* moved,      \
                                  T* velocity, T* gradient, T* fastest, int64_t* lost, int threads) {                      \
        const Grid<D> grid = read_grid<D>(shape, geometry);                                                                \
        Bounds<D> bounds{};                                                                                                \
        bounds.confined = margin >= 0;                                                                                     \
        for (int a = 0; a < D; ++a) {                                                                                      \
            bounds.keep[a][0] = grid.origin[a] + margin * grid.spacing;                                                    \
            bounds.keep[a][1] = grid.origin[a] + (grid.shape[a] - margin) * grid.spacing;                                  \
        }                                                                                                                  \
        gather<T, D>(x, nodes, batch, count, grid, dt, order, bounds, moved, velocity, gradient, fastest, lost, threads);  \
    }

POINTS(float, 2, float2)
POINTS(float, 3, float3)
POINTS(double, 2, double2)
POINTS(double, 3, double3)
