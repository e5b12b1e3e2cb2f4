class Main { void main() { System.out.println("hello from java"); } }
