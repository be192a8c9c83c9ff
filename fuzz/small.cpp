namespace depot {
enum class Grade { Plain, Fine = 7 };
template <typename T> struct Pair { T first, second; union { int one; char other; }; };
struct Base { virtual int weigh(int) const; static int stores; unsigned narrow : 3; };
struct Store : virtual Base { struct Inner; Inner *inner; Grade grade; Pair<int> pair[2]; int weigh(int) const override; };
struct Store::Inner { Store *next; int (Store::*method)(int) const; double rates[3][2]; };
namespace { int hidden = 4; }
thread_local int local;
int Base::stores;
int Base::weigh(int by) const { return by + hidden; }
static inline __attribute__((always_inline)) int scaled(int value) { int result = value * 3; return result + 1; }
int Store::weigh(int by) const {
  int sum = 0;
  for (int turn = 0; turn < by; turn++) { int part = scaled(turn); sum += part + Base::weigh(turn); }
  return sum;
}
}
using depot::Store;
int total;
extern "C" int summed(const Store &store, int count) {
  int numbers[count];
  numbers[0] = store.weigh(count);
  total += numbers[0] + (int)store.grade;
  return numbers[0];
}
extern "C" void __cxa_pure_virtual() {}
extern "C" void _start() { Store store; total = summed(store, 3); for (;;) ; }
namespace __cxxabiv1 { struct A { virtual void a(); }; void A::a() {} }
